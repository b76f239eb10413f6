//! Where a machine keeps what only concerns the run on it: the socket of its supervisor.
//!
//! With a state directory that is the place. A state in a bucket has none, so that a folder of the user's own
//! is used, which the state's address tells apart from those of other jobs.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::PathBuf;

use checkpoint::Location;
use nix::unistd::geteuid;

/// The folder of a job on this machine.
pub(crate) fn folder(location: &Location) -> PathBuf {
    match location {
        Location::Dir(dir) => dir.clone(),
        Location::S3(_) => {
            let hash = event::key_hash(location.to_string().as_bytes());
            let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
            let base = runtime.map_or_else(std::env::temp_dir, PathBuf::from);
            base.join(format!("tidewatch-{}-{hash:016x}", geteuid()))
        }
    }
}

/// The same, made if it was not there.
///
/// # Errors
/// If it cannot be made, or somebody else has made it.
pub(crate) fn make_folder(location: &Location) -> io::Result<PathBuf> {
    let folder = folder(location);
    if let Location::Dir(_) = location {
        fs::create_dir_all(&folder)?;
        return Ok(folder);
    }
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(&folder)?;
    if found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & 0o022 == 0 {
        return Ok(folder);
    }
    let words = format!("{} belongs to somebody else", folder.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, words))
}

/// Removes the folder of a state in a bucket, unless another run of the job has something in it.
pub(crate) fn leave_folder(location: &Location) {
    if let Location::S3(_) = location {
        // It fails where there is something in it.
        let _ = fs::remove_dir(folder(location));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use checkpoint::Bucket;

    fn bucket(address: &str) -> Location {
        Location::S3(Bucket::parse(address).unwrap().unwrap())
    }

    #[test]
    fn jobs_in_one_bucket_have_folders_of_their_own_that_nobody_else_may_enter() {
        let (one, other) = (bucket("s3://bucket/one"), bucket("s3://bucket/other"));
        assert_ne!(folder(&one), folder(&other));
        let made = make_folder(&one).unwrap();
        assert_eq!(made, make_folder(&one).unwrap(), "it may be there already");
        assert_eq!(fs::metadata(&made).unwrap().mode() & 0o777, 0o700);
        fs::write(made.join("socket"), "").unwrap();
        leave_folder(&one);
        assert!(made.exists(), "another run has it");
        fs::remove_file(made.join("socket")).unwrap();
        leave_folder(&one);
        assert!(!made.exists());
    }

    #[test]
    fn a_state_directory_is_its_own_place() {
        assert_eq!(folder(&Location::Dir("a/b".into())), PathBuf::from("a/b"));
    }
}
