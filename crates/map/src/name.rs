//! Names of anonymous maps, for people who read /proc/PID/maps: `[anon:NAME]`, `[anon_shmem:NAME]` for shared
//! ones.
//!
//! Linux 5.17 (shared memory 6.2) with `CONFIG_ANON_VMA_NAME`. A name changes nothing else; parts of
//! different names are different mappings to the kernel, and count against vm.max_map_count. A child of a
//! fork inherits them. Source: PR_SET_VMA(2const).

use crate::area::PageRange;
use crate::diagnosis;
use crate::error::{Error, Feature, Kind};
use crate::map::Map;
use crate::operation::Operation;
use crate::view::View;
use neap_os::errno::Errno;
use neap_os::name::{name_mapping, unname_mapping};
use std::ffi::CStr;

/// The kernel's limit, with the terminating 0.
const LONGEST: usize = 80;

/// Whether the kernel takes it: up to 79 bytes of printable ASCII but ``[]\$` ``.
fn is_good(name: &CStr) -> bool {
    let bytes = name.to_bytes();
    let good = |byte: u8| matches!(byte, b' '..=b'~') && !b"[]\\$`".contains(&byte);
    bytes.len() < LONGEST && bytes.iter().all(|&byte| good(byte))
}

fn of_name(errno: Errno, pages: PageRange) -> Error {
    let kind = match errno {
        Errno::EINVAL => Kind::Unsupported(Feature::Name),
        // Said of a file's memory.
        Errno::EBADF => Kind::Invalid,
        _ => return pages.name(diagnosis::of(Operation::Name, errno)),
    };
    pages.name(Error::answered(Operation::Name, errno, kind))
}

impl<V: View> Map<V> {
    /// Names the map, and any guards.
    ///
    /// # Errors
    /// [`Kind::BadName`]: 80 bytes or more, or one that is not printable ASCII, or one of ``[]\$` ``;
    /// [`Kind::Unsupported`]; [`Kind::Invalid`] for a file's memory; [`Kind::MapCountExhausted`].
    ///
    /// ```
    /// use neap_map::{Anon, Kind};
    /// let map = Anon::private(4096).map()?;
    /// match map.set_name(c"index") {
    ///     Ok(()) => {}
    ///     Err(error) => assert!(matches!(error.kind(), Kind::Unsupported(_))),
    /// }
    /// # Ok::<(), neap_map::Error>(())
    /// ```
    pub fn set_name(&self, name: &CStr) -> Result<(), Error> {
        let pages = self.area().whole();
        if !is_good(name) {
            return Err(pages.name(Error::found(Operation::Name, Kind::BadName)));
        }
        if pages.is_empty() {
            return Ok(());
        }
        name_mapping(pages.span(), name).map_err(|errno| of_name(errno, pages))
    }

    /// Takes the name off.
    ///
    /// # Errors
    /// As [`Map::set_name`].
    pub fn clear_name(&self) -> Result<(), Error> {
        let pages = self.area().whole();
        if pages.is_empty() {
            return Ok(());
        }
        unname_mapping(pages.span()).map_err(|errno| of_name(errno, pages))
    }
}
