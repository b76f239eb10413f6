//! Tests that cannot do here what they are there for: said where somebody sees it.
//!
//! The test itself passes, and what a test that passes says nobody sees. So it is also written to the file
//! that `TIDEWATCH_LEFT_OUT` names, which `scripts/test.sh` shows at its end.

use std::io::Write;

const VARIABLE: &str = "TIDEWATCH_LEFT_OUT";

/// Says what is left out, and why.
///
/// # Panics
/// If the file cannot be written.
pub fn announce(words: &str) {
    let line = format!("LEFT OUT: {words}\n");
    eprint!("{line}");
    let Some(path) = std::env::var_os(VARIABLE) else { return };
    // Several test programs may write at a time: a short line in one piece stays whole.
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("write what is left out");
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    const CHILD: &str = "TIDEWATCH_LEFT_OUT_TEST";

    #[test]
    fn what_is_left_out_is_in_the_file_that_the_variable_names() {
        if std::env::var_os(CHILD).is_some() {
            super::announce("a thing; it needs another");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("left out");
        let this = std::env::current_exe().unwrap();
        let name = "left_out::tests::what_is_left_out_is_in_the_file_that_the_variable_names";
        for _ in 0..2 {
            let mut run = Command::new(&this);
            run.args(["--exact", name]).env(CHILD, "").env(super::VARIABLE, &file);
            assert!(run.output().unwrap().status.success());
        }
        let line = "LEFT OUT: a thing; it needs another\n";
        assert_eq!(std::fs::read_to_string(&file).unwrap(), line.repeat(2));
    }
}
