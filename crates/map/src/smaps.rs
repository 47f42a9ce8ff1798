//! [`Entry`]: what /proc/self/smaps says of one mapping, for tests.

use neap_os::unit::Span;

/// One mapping of this process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) span: Span,
    /// As in `rw-p`.
    pub(crate) rights: String,
    text: String,
}

/// Every mapping of this process, in order.
pub(crate) fn entries() -> Vec<Entry> {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut entries: Vec<Entry> = Vec::new();
    for line in smaps.lines() {
        let mut words = line.split(' ');
        let range = words.next().and_then(|range| range.split_once('-'));
        let number = |text: &str| usize::from_str_radix(text, 16).ok();
        match range.and_then(|(start, end)| Some((number(start)?, number(end)?))) {
            Some((start, end)) => entries.push(Entry {
                span: Span::new(start, end - start).unwrap(),
                rights: words.next().unwrap().to_owned(),
                text: String::new(),
            }),
            None => {
                let last = entries.last_mut().unwrap();
                last.text.push_str(line);
                last.text.push('\n');
            }
        }
    }
    entries
}

/// The mapping that holds an address.
pub(crate) fn at<T>(address: *const T) -> Option<Entry> {
    entries()
        .into_iter()
        .find(|entry| entry.span.contains(address.addr()))
}

/// Whether anything is mapped there. Without allocating, which could map something there.
pub(crate) fn is_mapped<T>(address: *const T) -> bool {
    let page = neap_os::env::page_size();
    let span = Span::new(address.addr() & !(page - 1), page).unwrap();
    neap_os::residency::residency(span, &mut [0]).is_ok()
}

/// Whether a copy may say so past the end of a file without a name: only the privileged may look through
/// /proc/self/map_files, and learn that the file is too short.
pub(crate) const fn is_past_the_end(kind: crate::error::Kind) -> bool {
    matches!(
        kind,
        crate::error::Kind::FileTooShort | crate::error::Kind::PageUnavailable
    )
}

impl Entry {
    fn line(&self, field: &str) -> &str {
        let found = self.text.lines().find_map(|line| line.strip_prefix(field));
        found.unwrap_or_else(|| panic!("smaps has no {field}")).trim()
    }

    /// Whether `VmFlags` has it.
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.line("VmFlags:").split(' ').any(|one| one == flag)
    }

    /// All of `VmFlags`.
    pub(crate) fn flags(&self) -> &str {
        self.line("VmFlags:")
    }

    /// A field in kB.
    pub(crate) fn kib(&self, field: &str) -> usize {
        self.line(field)
            .strip_suffix("kB")
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    }
}
