// Loaded before a server of scripts/kinesis.sh: both listen on every interface, and are to listen on 127.0.0.1 only.
const { Server } = require('net')

const listen = Server.prototype.listen
Server.prototype.listen = function (first, ...rest) {
  const options = typeof first === 'object' && first !== null ? first : { port: first }
  const listener = rest.filter((argument) => typeof argument === 'function')
  return listen.call(this, { ...options, host: '127.0.0.1' }, ...listener)
}
