//! Where state is kept, as the config says it.

use checkpoint::Location;

use super::{check, compile};

fn with_state(lines: &str) -> String {
    format!("{}\n[state]\n{lines}\n", super::SMALL)
}

#[test]
fn a_path_is_a_directory() {
    let job = compile(&with_state("dir = \"some/where\""), &[], &[]).unwrap();
    assert_eq!(job.state.unwrap().location, Location::Dir("some/where".into()));
}

#[test]
fn what_only_a_bucket_has_is_refused_for_a_directory() {
    check(
        &with_state("dir = \"state\"\nretry_for = \"1s\"\ns3_regoin = \"x\""),
        r#"
error[E0301]: only a state in a bucket has `retry_for`
  --> job.toml:34:1
   |
34 | retry_for = "1s"
   | ^^^^^^^^^ help: a bucket is `dir = "s3://BUCKET/NAME-OF-THE-JOB"`
error[E0102]: unknown key `s3_regoin` in `[state]`
  --> job.toml:35:1
   |
35 | s3_regoin = "x"
   | ^^^^^^^^^ help: did you mean `s3_region`?
"#,
    );
}

#[cfg(not(feature = "s3"))]
#[test]
fn a_program_without_the_feature_says_which_one_brings_it() {
    check(
        &with_state("dir = \"s3://bucket/job\"\ns3_region = \"x\""),
        r#"
error[E0105]: this program was built without `s3`
  --> job.toml:33:7
   |
33 | dir = "s3://bucket/job"
   |       ^^^^^^^^^^^^^^^^^ help: build it with `--features s3`, or with `--features full` for all that there is
"#,
    );
}

#[cfg(feature = "s3")]
mod with_buckets {
    use std::time::Duration;

    use checkpoint::Bucket;

    use super::*;

    fn bucket(lines: &str, sets: &[&str]) -> Bucket {
        match compile(&with_state(lines), sets, &[]).unwrap().state.unwrap().location {
            Location::S3(bucket) => bucket,
            Location::Dir(dir) => panic!("the directory {}", dir.display()),
        }
    }

    #[test]
    fn a_bucket_has_a_prefix_and_may_say_where_its_server_is() {
        let plain = bucket("dir = \"s3://bucket/team/job\"", &[]);
        assert_eq!((plain.name.as_str(), plain.prefix.as_str()), ("bucket", "team/job"));
        assert_eq!(
            (plain.allow_http, plain.retry_for, &plain.endpoint),
            (false, Duration::from_secs(60), &None)
        );
        let full = bucket(
            "dir = \"state\"\ns3_endpoint = \"https://minio.example\"\ns3_region = \"eu\"\nretry_for = \"5s\"",
            &["state.dir=s3://bucket/job", "state.s3_allow_http=true"],
        );
        assert_eq!(
            (full.endpoint.as_deref(), full.region.as_deref()),
            (Some("https://minio.example"), Some("eu"))
        );
        assert_eq!((full.allow_http, full.retry_for), (true, Duration::from_secs(5)));
    }

    #[test]
    fn an_address_that_cannot_be_is_marked_with_what_can() {
        check(
            &with_state("dir = \"s3://bucket\"\ns3_endpoint = \"minio:9000\""),
            r#"
error[E0105]: no prefix, which keeps the job apart from others in that bucket
  --> job.toml:33:7
   |
33 | dir = "s3://bucket"
   |       ^^^^^^^^^^^^^ help: write `dir = "s3://BUCKET/NAME-OF-THE-JOB"`
"#,
        );
    }
}
