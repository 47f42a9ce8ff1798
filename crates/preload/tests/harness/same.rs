//! A program does the same with the library as without.

use super::{BACKENDS, Mode, Outcome, Stop, conclude, plain, preloaded, run, show};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// For one run of one program; the longest takes some 30 s alone.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);

/// Runs `work` once without the library and once on each backend, and compares what it returns.
pub(crate) fn same_output(work: impl Fn(&dyn Fn(&Path) -> Command) -> Outcome<String>) {
    conclude(compare(work, &BACKENDS));
}

fn compare(work: impl Fn(&dyn Fn(&Path) -> Command) -> Outcome<String>, modes: &[Mode]) -> Outcome {
    if std::env::var_os("NEAP_TEST_FAST").is_some() {
        return Err(Stop::Skip("--fast leaves out the real programs".to_owned()));
    }
    let expected = work(&plain)?;
    for &mode in modes {
        let got = work(&|path| preloaded(path, mode)).map_err(|stop| match stop {
            Stop::Fail(message) => Stop::Fail(format!("[{}] {message}", mode.name)),
            skip @ Stop::Skip(_) => skip,
        })?;
        if got != expected {
            let different = expected.lines().zip(got.lines()).find(|(a, b)| a != b);
            let (lines, others) = (expected.lines().count(), got.lines().count());
            return Err(Stop::Fail(format!(
                "[{}] prints something else: {lines} lines and {others} lines, first difference {different:?}",
                mode.name
            )));
        }
    }
    Ok(())
}

/// Standard output of a command that must succeed.
pub(crate) fn output(command: &mut Command) -> Outcome<String> {
    let what = show(command);
    Ok(run(command, LIMIT)?.success(&what)?.stdout)
}

/// A file of `tests/programs`.
pub(crate) fn script(name: &str) -> PathBuf {
    super::tests().join("programs").join(name)
}

/// A folder and a copy of the library that any user may reach, for a target directory may lie in a private
/// place. Gone when it is dropped.
pub(crate) struct Public {
    pub(crate) folder: PathBuf,
    pub(crate) library: PathBuf,
}

impl Public {
    pub(crate) fn new(name: &str) -> Outcome<Public> {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = std::env::temp_dir().join(format!("neap-{name}-{}", std::process::id()));
        let io = |e: std::io::Error| Stop::Fail(format!("{}: {e}", folder.display()));
        std::fs::create_dir_all(&folder).map_err(io)?;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o1777)).map_err(io)?;
        let library = folder.join("libneap.so");
        std::fs::copy(super::library(), &library).map_err(io)?;
        std::fs::set_permissions(&library, std::fs::Permissions::from_mode(0o755)).map_err(io)?;
        Ok(Public { folder, library })
    }

    /// The command, run by an unprivileged user, with a library that this user can read.
    pub(crate) fn as_nobody(&self, command: &Command) -> Outcome<Command> {
        let mut other = Command::new(super::program("setpriv")?);
        other
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
            .arg(command.get_program())
            .args(command.get_args())
            .current_dir(&self.folder)
            .env("HOME", &self.folder);
        for (name, value) in command.get_envs() {
            match value {
                Some(_) if name == "LD_PRELOAD" => other.env(name, &self.library),
                Some(value) => other.env(name, value),
                None => other.env_remove(name),
            };
        }
        Ok(other)
    }
}

impl Drop for Public {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
