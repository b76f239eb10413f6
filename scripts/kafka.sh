#!/usr/bin/env bash
# Starts and stops an Apache Kafka broker for tests, on free ports of 127.0.0.1. Words go to stderr.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: scripts/kafka.sh start|pause|resume|stop|status|serve DIR
       scripts/kafka.sh install

Runs a broker of its own (KRaft, one node) on free ports of 127.0.0.1, with everything that it keeps in DIR, and
nothing that outlives a stop. Topics are made by who needs them, not by the first use.

  start DIR   make DIR (which must not exist), start a broker in it, print
              `ADDRESS ADDRESS-FOR-TLS FILE-OF-THE-CA`
  pause DIR   kill -9 the broker
  resume DIR  start it again on the same data and ports
  stop DIR    kill it and remove DIR
  status DIR  print its address if it answers
  serve DIR   start it, and stop it when standard input ends: a broker that dies with whoever started it
  install     fetch the broker with Maven, if it is not there, and Java and Maven with apt-get (as root)

The second address speaks TLS and wants to know who asks: SASL with SCRAM-SHA-512 or PLAIN, user `tidewatch` with the
password `only-for-tests`.

The broker is fetched once, into target/kafka of this repository.

Exit codes: 0 done, 2 wrong usage, 3 there is no broker here, 1 anything else.
HELP
}

# shellcheck source=scripts/served.bash
source "$(dirname "${BASH_SOURCE[0]}")/served.bash"

programs=$root/target/kafka
version=4.1.0
jars=$programs/$version
tls=$programs/tls
user=tidewatch
password=only-for-tests

# Maven's own configuration says where from.
fetch() {
  local pom=$programs/pom.xml
  cat >"$pom" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tidewatch</groupId>
  <artifactId>kafka-for-tests</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
POM
  rm -rf "$jars.part"
  mvn -q -B -f "$pom" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$jars.part" >&2 \
    && mv "$jars.part" "$jars"
}

# A key and its certificate, which is its own CA, for 127.0.0.1.
make_certificate() {
  rm -rf "$tls.part"
  mkdir -p "$tls.part"
  local store=(-keystore "$tls.part/broker.p12" -storetype PKCS12 -storepass "$password" -alias broker)
  keytool -genkeypair "${store[@]}" -keyalg EC -groupname secp256r1 -dname CN=kafka-for-tests \
    -ext SAN=ip:127.0.0.1,dns:localhost -ext bc:c -validity 3650 >&2 \
    && keytool -exportcert "${store[@]}" -rfc -file "$tls.part/ca.pem" >&2 \
    && mv "$tls.part" "$tls"
}

is_installed() { [[ -d $jars && -d $tls ]]; }

install_server() {
  ! is_installed || return 0
  mkdir -p "$programs"
  # Tests that start at the same time fetch it once.
  exec {lock}>"$programs/lock"
  flock "$lock"
  ! is_installed || return 0
  local scripts=$root/scripts
  "$scripts/packages.sh" java openjdk-17-jre-headless && "$scripts/packages.sh" mvn maven \
    || fail 3 "there is no Kafka here: it needs Java 17 and Maven"
  echo "kafka.sh: fetching the broker for tests, once" >&2
  [[ -d $jars ]] || fetch || fail 3 "there is no Kafka here, and Maven could not bring it"
  [[ -d $tls ]] || make_certificate || fail 1 "no certificate could be made"
}

# Whether the process that was started is there, and still that process.
alive() { [[ -n ${1:-} ]] && grep -q 'kafka.Kafka' "/proc/$1/cmdline" 2>/dev/null; }

# For programs of a moment: the quickest start that Java has.
tool() { java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$jars/*" "$@"; }

configure() {
  local plain=$1 controller=$2 secure=$3 module=org.apache.kafka.common.security
  cat >"$dir/server.properties" <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$plain,CONTROLLER://127.0.0.1:$controller,SASL_SSL://127.0.0.1:$secure
advertised.listeners=PLAINTEXT://127.0.0.1:$plain,CONTROLLER://127.0.0.1:$controller,SASL_SSL://127.0.0.1:$secure
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL
inter.broker.listener.name=PLAINTEXT
log.dirs=$dir/data
num.partitions=1
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
ssl.keystore.type=PKCS12
ssl.keystore.location=$tls/broker.p12
ssl.keystore.password=$password
listener.name.sasl_ssl.sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=$module.scram.ScramLoginModule required;
listener.name.sasl_ssl.plain.sasl.jaas.config=$module.plain.PlainLoginModule required user_$user="$password";
CONF
}

format() {
  local id
  id=$(tool kafka.tools.StorageTool random-uuid) \
    && tool kafka.tools.StorageTool format --standalone -t "$id" -c "$dir/server.properties" \
      --add-scram "SCRAM-SHA-512=[name=$user,password=$password]" >>"$dir/log" 2>&1
}

launch() {
  local port=$1 pid
  setsid java -Xmx512m -XX:+UseSerialGC -cp "$jars/*" kafka.Kafka "$dir/server.properties" </dev/null >>"$dir/log" 2>&1 &
  pid=$!
  disown "$pid"
  echo "$pid" >"$dir/pid"
  await "$pid" "$port" 20 1200
}

# launch_anew PORT: with a new configuration, and nothing in it.
launch_anew() {
  secure=$(free_port)
  rm -rf "$dir/data"
  configure "$1" "$(free_port)" "$secure"
  format && launch "$1"
}

start() {
  [[ ! -e $dir ]] || fail 2 "$dir exists"
  install_server
  make_folder
  local secure
  on_free_port 3 "$dir/log" "the broker" launch_anew
  echo "127.0.0.1:$port" >"$dir/address"
  echo "127.0.0.1:$port 127.0.0.1:$secure $tls/ca.pem"
}

pid() { cat "$dir/pid" 2>/dev/null || true; }

pause() { end_process "$(pid)"; }

stop() {
  pause
  # Only what start has made.
  if [[ -f $dir/pid ]]; then rm -rf "$dir"; fi
}

status() {
  local address
  address=$(cat "$dir/address" 2>/dev/null) && alive "$(pid)" && taken "${address##*:}" || fail 1 "no broker runs there"
  echo "$address"
}

resume() {
  local address
  address=$(cat "$dir/address")
  launch "${address##*:}" || fail 1 "the broker did not start again"
}

obey "start pause resume stop status serve" "$@"
