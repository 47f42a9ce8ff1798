//! Finds the file behind a command's name, as execvp(3) does.

use std::env;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// What execvp(3) searches when PATH is not set.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Why there is no file to execute.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoFile {
    /// No such file, in no folder of PATH.
    NotFound { searched: Option<String> },
    /// The file is there and may not be executed.
    NotExecutable(PathBuf),
    /// It is a folder.
    Folder(PathBuf),
}

/// The path that execve(2) is to be given.
pub(crate) fn find(name: &OsStr) -> Result<PathBuf, NoFile> {
    if name.as_bytes().contains(&b'/') {
        return executable(PathBuf::from(name)).unwrap_or(Err(NoFile::NotFound { searched: None }));
    }
    let path = env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    let mut refused = None;
    for folder in env::split_paths(&path).filter(|_| !name.is_empty()) {
        // An empty element of PATH is the current folder.
        let folder = if folder.as_os_str().is_empty() {
            PathBuf::from(".")
        } else {
            folder
        };
        match executable(folder.join(name)) {
            Some(Ok(found)) => return Ok(found),
            Some(Err(NoFile::NotExecutable(path))) => refused = refused.or(Some(NoFile::NotExecutable(path))),
            _ => {}
        }
    }
    let searched = Some(path.to_string_lossy().into_owned());
    Err(refused.unwrap_or(NoFile::NotFound { searched }))
}

/// `None`: nothing there.
fn executable(path: PathBuf) -> Option<Result<PathBuf, NoFile>> {
    let metadata = Path::metadata(&path).ok()?;
    Some(if metadata.is_dir() {
        Err(NoFile::Folder(path))
    } else if access(&path, Access::EXEC_OK).is_err() {
        Err(NoFile::NotExecutable(path))
    } else {
        Ok(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_searched_for_and_a_path_is_not() {
        assert!(find(OsStr::new("sh")).unwrap().is_absolute());
        assert_eq!(find(OsStr::new("/bin/sh")).unwrap(), Path::new("/bin/sh"));
        assert_eq!(
            find(OsStr::new("/nowhere/sh")),
            Err(NoFile::NotFound { searched: None })
        );
        assert!(matches!(
            find(OsStr::new("no-such-command")),
            Err(NoFile::NotFound { searched: Some(_) })
        ));
        assert!(matches!(find(OsStr::new("")), Err(NoFile::NotFound { .. })));
    }

    #[test]
    fn folders_and_plain_files_are_told_apart() {
        assert_eq!(find(OsStr::new("/tmp")), Err(NoFile::Folder("/tmp".into())));
        assert_eq!(
            find(OsStr::new("/proc/version")),
            Err(NoFile::NotExecutable("/proc/version".into()))
        );
    }
}
