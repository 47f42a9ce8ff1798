//! One line of the list: a process, what it did since the reading before, and its user's name.

use std::sync::Arc;

use neap_proc::Reading;
use neap_proc::model::{Process, Rates};

/// A process and what is said of it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) process: Process,
    /// `None`: there was no reading of it before.
    pub(crate) rates: Option<Rates>,
    /// `None`: the kernel did not say.
    pub(crate) user: Option<Arc<str>>,
    /// Its arguments, the program without its folders; the name in brackets when it has none.
    pub(crate) command: Arc<str>,
}

/// A process for good, however often its pid is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    pub(crate) start_ticks: u64,
}

impl Row {
    pub(crate) fn new(process: Process, rates: Option<Rates>, user: Option<Arc<str>>) -> Row {
        let command = command(&process);
        Row {
            process,
            rates,
            user,
            command,
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity {
            pid: self.process.pid,
            start_ticks: self.process.start_ticks,
        }
    }

    /// Minor and major faults a second.
    pub(crate) fn faults_per_second(&self) -> Option<f64> {
        let rates = self.rates?;
        Some(rates.minor_faults_per_second + rates.major_faults_per_second)
    }

    /// Whether PSS, USS and swap are kept from this user.
    pub(crate) fn is_denied(&self) -> bool {
        self.process.footprint.proportional_bytes == Reading::Denied
    }
}

/// The command line in one piece. It may hold any characters: a reader makes it harmless.
fn command(process: &Process) -> Arc<str> {
    let arguments = process.arguments.as_value().map(Arc::as_ref).unwrap_or_default();
    let Some((program, rest)) = arguments.split_first().filter(|(program, _)| !program.is_empty()) else {
        return format!("[{}]", process.name).into();
    };
    // A title that a program has given itself is no path: `sshd: root [priv]`.
    let name = if program.contains(' ') {
        program
    } else {
        program.rsplit('/').next().unwrap_or(program)
    };
    let mut line = name.to_owned();
    for argument in rest {
        line.push(' ');
        line.push_str(argument);
    }
    line.truncate(line.trim_end().len());
    line.into()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use neap_proc::Reason;
    use neap_proc::model::Footprint;
    use neap_proc::parse::State;

    /// A process with an RSS, everything else plain.
    pub(crate) fn process(pid: u32, name: &str, resident_bytes: u64) -> Process {
        Process {
            pid,
            parent: 1,
            start_ticks: 1,
            name: name.to_owned(),
            arguments: Reading::Value(vec![format!("/usr/bin/{name}"), format!("--id={pid}")].into()),
            user: Reading::Value(1000),
            state: State::Sleeping,
            threads: 1,
            user_ticks: 0,
            system_ticks: 0,
            minor_faults: 0,
            major_faults: 0,
            resident_bytes: Reading::Value(resident_bytes),
            size_bytes: Reading::Value(resident_bytes * 2),
            footprint: Footprint::missing(Reading::Absent(Reason::NotYet)),
        }
    }

    #[test]
    fn a_command_is_its_program_without_folders() {
        let mut one = process(7, "server", 0);
        assert_eq!(&*Row::new(one.clone(), None, None).command, "server --id=7");
        one.arguments = Reading::Value(vec!["sshd: a/b [priv]".to_owned(), "  ".to_owned()].into());
        assert_eq!(&*Row::new(one.clone(), None, None).command, "sshd: a/b [priv]");
        one.arguments = Reading::Value(Vec::new().into());
        assert_eq!(&*Row::new(one, None, None).command, "[server]");
    }
}
