//! The units the heap divides its memory into, and the relations between them.
//!
//! A *page* is 4 KiB, a *granule* 64 KiB (one slab), a *chunk* 2 MiB (one huge page). Constants
//! only.

/// Bytes of a page.
pub(crate) const PAGE: usize = neap_os::unit::PAGE;
/// log2 of a granule.
pub(crate) const GRANULE_SHIFT: u32 = 16;
/// Bytes of a granule: the size of a slab.
pub(crate) const GRANULE: usize = 1 << GRANULE_SHIFT;
/// log2 of a chunk.
pub(crate) const CHUNK_SHIFT: u32 = 21;
/// Bytes of a chunk.
pub(crate) const CHUNK: usize = 1 << CHUNK_SHIFT;
/// Pages of a granule.
pub(crate) const PAGES_PER_GRANULE: usize = GRANULE / PAGE;
/// Pages of a chunk.
pub(crate) const PAGES_PER_CHUNK: usize = CHUNK / PAGE;
/// Granules of a chunk.
pub(crate) const GRANULES_PER_CHUNK: usize = CHUNK / GRANULE;
/// The most chunks one heap can have: 4 TiB of blocks.
pub(crate) const CHUNKS_MAX: usize = 1 << 21;
/// The largest run of pages; anything larger takes whole chunks.
pub(crate) const RUN_MAX: usize = 1 << 20;

const _: () = {
    use neap_abi::anatomy;
    assert!(
        PAGE as u64 == anatomy::PAGE && GRANULE as u64 == anatomy::GRANULE && CHUNK as u64 == anatomy::CHUNK
    );
    assert!(PAGES_PER_GRANULE == anatomy::PAGES_PER_GRANULE && PAGES_PER_CHUNK == anatomy::PAGES_PER_CHUNK);
    assert!(GRANULES_PER_CHUNK == anatomy::GRANULES_PER_CHUNK && CHUNKS_MAX as u64 == anatomy::CHUNKS_MAX);
};
const _: () = assert!(PAGES_PER_GRANULE == 16, "a slab's page masks are 16 bits");
const _: () = assert!(GRANULES_PER_CHUNK == 32, "a chunk's granule masks are 32 bits");
const _: () = assert!(PAGES_PER_CHUNK == 512, "a chunk's page maps are eight words");
const _: () = assert!(RUN_MAX <= CHUNK);
