//! `[mesh]`: what is read, and what is refused.

use std::time::Duration;

use dataflow::{MeshSpec, TlsSpec, TokenSpec};

use super::{SMALL, compile, read};

fn mesh(section: &str, environment: &[(&str, &str)]) -> Result<MeshSpec, String> {
    compile(&format!("{SMALL}\n[mesh]\n{section}\n"), &[], environment).map(|job| job.mesh)
}

#[test]
fn a_mesh_is_read_as_it_is_written_and_has_defaults() {
    assert_eq!(compile(SMALL, &[], &[]).unwrap().mesh, MeshSpec::default());
    let tls = r#"tls = { cert = "a.pem", key = "a.key", ca = "ca.pem", name = "ours" }"#;
    let expected = MeshSpec {
        token: Some(TokenSpec::File("token".into())),
        tls: Some(TlsSpec {
            cert: "a.pem".into(),
            key: "a.key".into(),
            ca: "ca.pem".into(),
            name: Some("ours".to_owned()),
        }),
        insecure: false,
        timeout: Duration::from_secs(3),
        ..MeshSpec::default()
    };
    assert_eq!(mesh(&format!("token = {{ file = \"token\" }}\ntimeout = \"3s\"\n{tls}"), &[]), Ok(expected));
    assert!(mesh("insecure = true", &[]).unwrap().insecure);
}

#[test]
fn a_token_is_named_and_never_shown() {
    let environment = [("TOKEN", "hunter2")];
    let text = format!("{SMALL}\n[mesh]\ntoken = {{ env = \"TOKEN\" }}\n");
    let reading = read(&text, &[], &environment);
    assert!(!format!("{reading:?}").contains("hunter2"));
    assert_eq!(
        compile(&text, &[], &environment).unwrap().mesh.token,
        Some(TokenSpec::Env("TOKEN".to_owned()))
    );
    let words = compile(&text, &[], &[]).unwrap_err();
    assert!(words.contains("E0107") && words.contains("`TOKEN` is not set"), "{words}");
}

#[test]
fn a_mesh_that_cannot_be_is_refused_with_words() {
    for (section, expected) in [
        ("token = \"hunter2\"", "where a table is needed"),
        ("token = {}", "one of `env` and `file`"),
        ("token = { env = \"TOKEN\", file = \"f\" }", "one of `env` and `file`"),
        ("tls = { cert = \"a\", key = \"b\" }", "has no `ca`"),
        ("tls = { cert = \"a\", key = \"b\", ca = \"c\", cn = \"d\" }", "unknown key `cn`"),
        ("insecure = \"yes\"", "expected `true` or `false`"),
        ("insecure = true\ntls = { cert = \"a\", key = \"b\", ca = \"c\" }", "`insecure` says to go without"),
        ("timeout = \"1ms\"", "out of range"),
        ("secret = 1", "unknown key `secret` in `[mesh]`"),
    ] {
        let words = mesh(section, &[("TOKEN", "hunter2")]).unwrap_err();
        assert!(words.contains(expected), "{section}: {words}");
    }
}
