//! `/proc/PID/maps`: the mappings of one address space.

use super::lines;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// Address after the last.
    pub end: u64,
    /// PROT_READ.
    pub read: bool,
    /// PROT_WRITE.
    pub write: bool,
    /// PROT_EXEC.
    pub execute: bool,
    /// MAP_SHARED.
    pub shared: bool,
    /// Bytes into the file.
    pub offset: u64,
    /// Device, major and minor number.
    pub device: (u64, u64),
    /// Inode; 0 for memory without a file.
    pub inode: u64,
    /// The last column.
    pub name: Name,
}

/// The last column of a line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// Empty.
    Anonymous,
    /// `[anon:…]` and `[anon_shmem:…]`: named with prctl(PR_SET_VMA_ANON_NAME).
    Named(String),
    /// `[heap]`, `[stack]`, `[vdso]` and the like, with the brackets.
    Special(String),
    /// A path, as the kernel saw it. A name that really ends in ` (deleted)` looks deleted too.
    File {
        /// The path, `\012` turned back into a newline.
        path: String,
        /// The file has no name any more.
        deleted: bool,
    },
}

/// All lines of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maps {
    /// In the order of the file, which is that of addresses.
    pub mappings: Vec<Mapping>,
    /// Lines that are no mapping.
    pub unknown_lines: usize,
}

impl Maps {
    /// Reads what lines there are.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Maps {
        let mut maps = Maps::default();
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            match Mapping::parse(line) {
                Some(mapping) => maps.mappings.push(mapping),
                None => maps.unknown_lines += 1,
            }
        }
        maps
    }
}

impl Mapping {
    /// Bytes from start to end.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Reads one line without its newline, e.g. the first line of an smaps entry.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Mapping> {
        let columns = Columns::parse(line)?;
        let Permissions {
            read,
            write,
            execute,
            shared,
        } = columns.permissions;
        Some(Mapping {
            start: columns.start,
            end: columns.end,
            read,
            write,
            execute,
            shared,
            offset: columns.offset,
            device: columns.device,
            inode: columns.inode,
            name: Name::parse(columns.name),
        })
    }
}

/// What may be done with a mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// PROT_READ.
    pub read: bool,
    /// PROT_WRITE.
    pub write: bool,
    /// PROT_EXEC.
    pub execute: bool,
    /// MAP_SHARED.
    pub shared: bool,
}

impl core::fmt::Display for Permissions {
    /// As the kernel writes them: `rw-p`.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let letter = |set: bool, letter: char| if set { letter } else { '-' };
        write!(
            f,
            "{}{}{}{}",
            letter(self.read, 'r'),
            letter(self.write, 'w'),
            letter(self.execute, 'x'),
            if self.shared { 's' } else { 'p' }
        )
    }
}

/// A line cut into its columns, the name as the kernel wrote it.
pub(super) struct Columns<'a> {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) permissions: Permissions,
    pub(super) offset: u64,
    pub(super) device: (u64, u64),
    pub(super) inode: u64,
    pub(super) name: &'a [u8],
}

impl<'a> Columns<'a> {
    pub(super) fn parse(line: &'a [u8]) -> Option<Columns<'a>> {
        let mut rest = line;
        let span = column(&mut rest)?;
        let dash = span.iter().position(|&byte| byte == b'-')?;
        let (start, end) = (lines::hex(span.get(..dash)?)?, lines::hex(span.get(dash + 1..)?)?);
        let letters = column(&mut rest)?;
        let offset = lines::hex(column(&mut rest)?)?;
        let device = column(&mut rest)?;
        let colon = device.iter().position(|&byte| byte == b':')?;
        let inode = lines::number(column(&mut rest)?)?;
        let letter = |index: usize, letter: u8| letters.get(index) == Some(&letter);
        (start < end && letters.len() >= 4).then_some(Columns {
            start,
            end,
            permissions: Permissions {
                read: letter(0, b'r'),
                write: letter(1, b'w'),
                execute: letter(2, b'x'),
                shared: letter(3, b's'),
            },
            offset,
            device: (
                lines::hex(device.get(..colon)?)?,
                lines::hex(device.get(colon + 1..)?)?,
            ),
            inode,
            name: rest.trim_ascii_start(),
        })
    }
}

impl Name {
    pub(super) fn parse(bytes: &[u8]) -> Name {
        let text = String::from_utf8_lossy(bytes).replace("\\012", "\n");
        if text.is_empty() {
            return Name::Anonymous;
        }
        if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let named = inner
                .strip_prefix("anon:")
                .or_else(|| inner.strip_prefix("anon_shmem:"));
            return named.map_or_else(
                || Name::Special(text.clone()),
                |name| Name::Named(name.to_owned()),
            );
        }
        match text.strip_suffix(" (deleted)") {
            Some(path) => Name::File {
                path: path.to_owned(),
                deleted: true,
            },
            None => Name::File {
                path: text,
                deleted: false,
            },
        }
    }
}

/// Takes the next column; only the name, which is what remains, may hold blanks.
fn column<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let line = rest.trim_ascii_start();
    let end = line
        .iter()
        .position(u8::is_ascii_whitespace)
        .unwrap_or(line.len());
    let (word, after) = line.split_at(end);
    *rest = after;
    (!word.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"55d0c6e00000-55d0c6e02000 r--p 00000000 fe:00 1179830                    /usr/bin/cat\n55d0c7000000-55d0c7021000 rw-p 00000000 00:00 0                          [heap]\n7f1200000000-7f1200021000 rw-p 00000000 00:00 0 \n7f1200100000-7f1200200000 rw-s 00001000 00:01 2055                       /memfd:a b (deleted)\n7f1200300000-7f1200400000 rw-p 00000000 00:00 0                          [anon:neap heap]\nffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\nnot a mapping\n";

    #[test]
    fn every_kind_of_name_is_told_apart() {
        let maps = Maps::parse(TEXT);
        let names: Vec<&Name> = maps.mappings.iter().map(|mapping| &mapping.name).collect();
        assert_eq!(
            names,
            [
                &Name::File {
                    path: "/usr/bin/cat".into(),
                    deleted: false
                },
                &Name::Special("[heap]".into()),
                &Name::Anonymous,
                &Name::File {
                    path: "/memfd:a b".into(),
                    deleted: true
                },
                &Name::Named("neap heap".into()),
                &Name::Special("[vsyscall]".into()),
            ]
        );
        assert_eq!(maps.unknown_lines, 1);
    }

    #[test]
    fn columns_come_from_their_places() {
        let mapping = &Maps::parse(TEXT).mappings[3];
        assert_eq!(
            (mapping.len_bytes(), mapping.offset, mapping.device),
            (1 << 20, 0x1000, (0, 1))
        );
        assert_eq!(
            (mapping.read, mapping.write, mapping.execute, mapping.shared),
            (true, true, false, true)
        );
        assert_eq!(mapping.inode, 2055);
    }

    #[test]
    fn a_newline_in_a_path_comes_back() {
        let mapping = Mapping::parse(b"1000-2000 r--p 0 00:00 1 /tmp/a\\012b").unwrap();
        assert_eq!(
            mapping.name,
            Name::File {
                path: "/tmp/a\nb".into(),
                deleted: false
            }
        );
    }
}
