//! `/proc/PID/smaps`: the mappings of one address space, each with its sizes.
//!
//! A process with 60 000 mappings has 40 MB of it, so the text is taken in pieces ([`SmapsText`]) and never
//! held whole, a line is compared with the one that the kernel writes next before it is looked up, and the
//! names of mappings are kept once ([`NameId`]). No allocation is made for a line. Names are those of one
//! [`Smaps`]: an id means nothing in another. Do not mix its sums with smaps_rollup's: Pss is cut to
//! kilobytes in each mapping. Source: proc_pid_smaps(5); fs/proc/task_mmu.c.

use std::collections::HashMap;

use super::maps::{Columns, Name};
use super::smaps_field::{Sizes, SmapsField};
use super::vm_flags::VmFlags;
use super::{Permissions, lines};

/// A name of one [`Smaps`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameId(u32);

/// A mapping and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmapsEntry {
    /// First address.
    pub start: u64,
    /// Address after the last.
    pub end: u64,
    /// `rwxp`.
    pub permissions: Permissions,
    /// Bytes into the file.
    pub offset: u64,
    /// Device, major and minor number.
    pub device: (u64, u64),
    /// Inode; 0 for memory without a file.
    pub inode: u64,
    /// The last column, by [`Smaps::name`].
    pub name: NameId,
    /// The lines with sizes.
    pub sizes: Sizes,
    /// THPeligible (5.0): whether huge pages may be put there.
    pub thp_eligible: Option<bool>,
    /// ProtectionKey (4.9), on processors with keys.
    pub protection_key: Option<u64>,
    /// VmFlags (3.8).
    pub flags: Option<VmFlags>,
}

/// All mappings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Smaps {
    /// In the order of the file, which is that of addresses.
    pub entries: Vec<SmapsEntry>,
    /// Lines that are neither a mapping nor one of its known lines with a value of the known form.
    pub unknown_lines: usize,
    names: Vec<Name>,
    /// The names as the kernel wrote them.
    texts: Vec<Box<[u8]>>,
}

impl SmapsEntry {
    /// Bytes from start to end.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

impl Smaps {
    /// Reads a whole text.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Smaps {
        let mut text = SmapsText::default();
        text.feed(bytes);
        text.finish()
    }

    /// The name behind an id of this value.
    ///
    /// An id of another [`Smaps`] gives another name, or [`Name::Anonymous`].
    #[must_use]
    pub fn name(&self, id: NameId) -> &Name {
        self.names.get(id.0 as usize).unwrap_or(&Name::Anonymous)
    }

    /// The name behind an id as the kernel wrote it: any bytes, a newline as `\\012`, ` (deleted)` at the end.
    #[must_use]
    pub fn name_bytes(&self, id: NameId) -> &[u8] {
        self.texts.get(id.0 as usize).map_or(&[], |text| text)
    }

    /// Every different name, in the order in which they first came.
    #[must_use]
    pub fn names(&self) -> &[Name] {
        &self.names
    }

    /// The sums of all mappings.
    #[must_use]
    pub fn total(&self) -> Sizes {
        let mut total = Sizes::default();
        for entry in &self.entries {
            total += &entry.sizes;
        }
        total
    }
}

/// The parser, given the text in pieces cut anywhere.
#[derive(Clone, Debug, Default)]
pub struct SmapsText {
    smaps: Smaps,
    ids: HashMap<Box<[u8]>, NameId>,
    /// The start of a line whose end has not come.
    cut: Vec<u8>,
    /// The field that the next line is likely to be.
    expected: Option<SmapsField>,
    /// The name of the mapping before: neighbours often have the same.
    last_name: Option<(Vec<u8>, NameId)>,
}

impl SmapsText {
    /// Takes the next piece.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if !self.cut.is_empty() {
            let Some(end) = memchr::memchr(b'\n', rest) else {
                self.cut.extend_from_slice(rest);
                return;
            };
            let (before, after) = rest.split_at(end);
            self.cut.extend_from_slice(before);
            let line = core::mem::take(&mut self.cut);
            self.line(&line);
            self.cut = line;
            self.cut.clear();
            rest = after.get(1..).unwrap_or_default();
        }
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end);
            self.line(line);
            rest = after.get(1..).unwrap_or_default();
        }
        self.cut.extend_from_slice(rest);
    }

    /// What has been read; a last line without its newline counts.
    #[must_use]
    pub fn finish(mut self) -> Smaps {
        let line = core::mem::take(&mut self.cut);
        self.line(&line);
        self.smaps
    }

    fn line(&mut self, line: &[u8]) {
        // Keys begin with a capital, addresses do not.
        let known = match line.first() {
            None => return,
            Some(b'A'..=b'Z') => self.named(line),
            Some(_) => self.header(line),
        };
        self.smaps.unknown_lines += usize::from(known.is_none());
    }

    fn header(&mut self, line: &[u8]) -> Option<()> {
        let columns = Columns::parse(line)?;
        let name = self.name(columns.name)?;
        self.expected = Some(SmapsField::Size);
        self.smaps.entries.push(SmapsEntry {
            start: columns.start,
            end: columns.end,
            permissions: columns.permissions,
            offset: columns.offset,
            device: columns.device,
            inode: columns.inode,
            name,
            sizes: Sizes::default(),
            thp_eligible: None,
            protection_key: None,
            flags: None,
        });
        Some(())
    }

    fn named(&mut self, line: &[u8]) -> Option<()> {
        let entry = self.smaps.entries.last_mut()?;
        if let Some(field) = self.expected
            && let Some(value) = field.value_in(line)
        {
            entry.sizes.set(field, padded_kilobytes(value)?);
            self.expected = field.following();
            return Some(());
        }
        let (key, value) = lines::key_value(line)?;
        if let Some(field) = SmapsField::from_key(key) {
            entry.sizes.set(field, lines::kilobytes(value)?);
            self.expected = field.following();
            return Some(());
        }
        match key {
            b"VmFlags" => entry.flags = Some(VmFlags::parse(value)),
            b"THPeligible" => entry.thp_eligible = Some(lines::number(value)? != 0),
            b"ProtectionKey" => entry.protection_key = Some(lines::number(value)?),
            _ => return None,
        }
        Some(())
    }

    /// The id of a name; `None` when there are more names than ids.
    fn name(&mut self, bytes: &[u8]) -> Option<NameId> {
        if let Some((last, id)) = &self.last_name
            && last == bytes
        {
            return Some(*id);
        }
        let id = match self.ids.get(bytes) {
            Some(id) => *id,
            None => {
                let id = NameId(u32::try_from(self.smaps.names.len()).ok()?);
                self.smaps.names.push(Name::parse(bytes));
                self.smaps.texts.push(bytes.into());
                self.ids.insert(bytes.into(), id);
                id
            }
        };
        let (last, last_id) = self.last_name.get_or_insert_with(|| (Vec::new(), id));
        last.clear();
        last.extend_from_slice(bytes);
        *last_id = id;
        Some(id)
    }
}

/// `     123 kB` in bytes; most are 0 in eight columns.
fn padded_kilobytes(value: &[u8]) -> Option<u64> {
    if value == b"       0 kB" {
        return Some(0);
    }
    lines::kilobytes(value)
}

#[cfg(test)]
mod tests;
