//! `/proc/PID/status`: named lines; the only place with the high-water mark of the resident set.

use super::lines;

/// The lines that neap uses. A zombie has none of the sizes; old kernels lack the `Rss…` lines
/// (before 4.5) and `NSpid` (before 4.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Name.
    pub name: Option<String>,
    /// State, the letter.
    pub state: Option<u8>,
    /// Pid in the namespace of the reader.
    pub pid: Option<u32>,
    /// PPid.
    pub ppid: Option<u32>,
    /// The last number of NSpid: the pid as the process itself sees it.
    pub pid_inside: Option<u32>,
    /// The first number of Uid: who the process runs for.
    pub user: Option<u32>,
    /// The second number of Uid: whose rights it has. ps(1) and top(1) call it the user.
    pub effective_user: Option<u32>,
    /// Threads.
    pub threads: Option<u64>,
    /// VmPeak.
    pub size_peak_bytes: Option<u64>,
    /// VmSize.
    pub size_bytes: Option<u64>,
    /// VmHWM: the most the resident set ever was since exec(2).
    pub resident_peak_bytes: Option<u64>,
    /// VmRSS.
    pub resident_bytes: Option<u64>,
    /// RssAnon.
    pub resident_anon_bytes: Option<u64>,
    /// RssFile.
    pub resident_file_bytes: Option<u64>,
    /// RssShmem.
    pub resident_shmem_bytes: Option<u64>,
    /// VmData.
    pub data_bytes: Option<u64>,
    /// VmStk.
    pub stack_bytes: Option<u64>,
    /// VmPTE.
    pub page_table_bytes: Option<u64>,
    /// VmSwap.
    pub swap_bytes: Option<u64>,
    /// VmLck.
    pub locked_bytes: Option<u64>,
    /// Seccomp: 0 without, 1 strict, 2 with a filter.
    pub seccomp: Option<u64>,
    /// NoNewPrivs.
    pub no_new_privileges: Option<u64>,
    /// CapEff, a bit for each capability.
    pub capabilities: Option<u64>,
    /// Lines whose key is none of the above or whose value has another form.
    pub unknown_lines: usize,
}

impl Status {
    /// Reads what lines there are.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Status {
        let mut status = Status::default();
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let known = lines::key_value(line).and_then(|(key, value)| status.take(key, value));
            status.unknown_lines += usize::from(known.is_none());
        }
        status
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let small = |word: &[u8]| lines::number(word).and_then(|n| u32::try_from(n).ok());
        let size = match key {
            b"VmPeak" => &mut self.size_peak_bytes,
            b"VmSize" => &mut self.size_bytes,
            b"VmHWM" => &mut self.resident_peak_bytes,
            b"VmRSS" => &mut self.resident_bytes,
            b"RssAnon" => &mut self.resident_anon_bytes,
            b"RssFile" => &mut self.resident_file_bytes,
            b"RssShmem" => &mut self.resident_shmem_bytes,
            b"VmData" => &mut self.data_bytes,
            b"VmStk" => &mut self.stack_bytes,
            b"VmPTE" => &mut self.page_table_bytes,
            b"VmSwap" => &mut self.swap_bytes,
            b"VmLck" => &mut self.locked_bytes,
            _ => {
                match key {
                    b"Name" => self.name = Some(String::from_utf8_lossy(value).into_owned()),
                    b"State" => self.state = Some(*value.first()?),
                    b"Pid" => self.pid = Some(small(value)?),
                    b"PPid" => self.ppid = Some(small(value)?),
                    b"NSpid" => self.pid_inside = Some(small(lines::words(value).last()?)?),
                    b"Uid" => {
                        let mut users = lines::words(value);
                        self.user = Some(small(users.next()?)?);
                        self.effective_user = Some(small(users.next()?)?);
                    }
                    b"Threads" => self.threads = Some(lines::number(value)?),
                    b"Seccomp" => self.seccomp = Some(lines::number(value)?),
                    b"NoNewPrivs" => self.no_new_privileges = Some(lines::number(value)?),
                    b"CapEff" => self.capabilities = Some(lines::hex(value)?),
                    _ => return None,
                }
                return Some(());
            }
        };
        *size = Some(lines::kilobytes(value)?);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Linux 6.18, a process in a container of its own pid namespace, shortened.
    const NEW: &[u8] = b"Name:\tcat\nUmask:\t0022\nState:\tR (running)\nTgid:\t4711\nNgid:\t0\nPid:\t4711\nPPid:\t4700\nNSpid:\t4711\t7\nVmPeak:\t    5616 kB\nVmSize:\t    5616 kB\nVmLck:\t       0 kB\nVmHWM:\t    1728 kB\nVmRSS:\t    1728 kB\nRssAnon:\t      96 kB\nRssFile:\t    1632 kB\nRssShmem:\t       0 kB\nVmData:\t     360 kB\nVmStk:\t     132 kB\nVmPTE:\t      48 kB\nVmSwap:\t       0 kB\nThreads:\t1\nTHP_enabled:\t1\n";
    /// Linux 3.10: no NSpid, no RssAnon.
    const OLD: &[u8] = b"Name:\tsshd\nState:\tS (sleeping)\nTgid:\t900\nPid:\t900\nPPid:\t1\nVmPeak:\t   66112 kB\nVmSize:\t   66112 kB\nVmHWM:\t    1204 kB\nVmRSS:\t    1204 kB\nVmData:\t     644 kB\nThreads:\t1\n";
    /// A zombie has no sizes.
    const ZOMBIE: &[u8] =
        b"Name:\tsh\nState:\tZ (zombie)\nTgid:\t12\nPid:\t12\nPPid:\t1\nNSpid:\t12\nThreads:\t1\n";

    #[test]
    fn a_new_kernel_gives_every_line() {
        let s = Status::parse(NEW);
        assert_eq!(
            (s.name.as_deref(), s.state, s.pid, s.pid_inside),
            (Some("cat"), Some(b'R'), Some(4711), Some(7))
        );
        assert_eq!(
            (s.resident_peak_bytes, s.resident_anon_bytes),
            (Some(1728 << 10), Some(96 << 10))
        );
        assert_eq!(s.swap_bytes, Some(0));
        assert_eq!(s.unknown_lines, 4, "Umask, Tgid, Ngid and THP_enabled");
    }

    #[test]
    fn an_old_kernel_lacks_lines_and_they_are_none() {
        let s = Status::parse(OLD);
        assert_eq!(
            (s.resident_peak_bytes, s.resident_anon_bytes, s.pid_inside),
            (Some(1204 << 10), None, None)
        );
    }

    #[test]
    fn a_zombie_has_no_sizes() {
        let s = Status::parse(ZOMBIE);
        assert_eq!(
            (s.state, s.resident_bytes, s.resident_peak_bytes),
            (Some(b'Z'), None, None)
        );
    }

    #[test]
    fn users_are_the_real_and_the_effective_one() {
        let s = Status::parse(b"Uid:\t1000\t0\t0\t1000\n");
        assert_eq!((s.user, s.effective_user), (Some(1000), Some(0)));
        let s = Status::parse(b"Uid:\t-1\n");
        assert_eq!((s.user, s.effective_user), (None, None));
    }

    #[test]
    fn a_size_in_another_unit_is_not_guessed() {
        let other = Status::parse(b"VmRSS:\t1 MB\nThreads:\tmany\nState:\nrubbish\nPid:\t7\n");
        assert_eq!(
            (other.resident_bytes, other.threads, other.state),
            (None, None, None)
        );
        assert_eq!((other.pid, other.unknown_lines), (Some(7), 4));
        assert_eq!(
            Status::parse(b"VmRSS:\t18446744073709551615 kB\n").resident_bytes,
            None
        );
    }
}
