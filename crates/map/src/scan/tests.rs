use crate::anon::Anon;
use crate::error::Kind;
use crate::file::FileMap;
use rustix::fs::MemfdFlags;
use std::io::{BufRead, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

#[test]
fn chunks_are_all_bytes_once() {
    let map = Anon::shared(100_000).map().unwrap();
    map.write_at(0, &pattern(100_000)).unwrap();
    let mut all = Vec::new();
    let end = map.for_each_chunk(7..99_999, &mut [0; 777], |at, bytes| -> ControlFlow<()> {
        assert_eq!(at, 7 + all.len());
        all.extend_from_slice(bytes);
        ControlFlow::Continue(())
    });
    assert_eq!((end, &all[..]), (Ok(None), &pattern(100_000)[7..99_999]));
    let first = map.for_each_chunk(.., &mut [0; 1000], |at, _| {
        if at >= 5000 {
            ControlFlow::Break(at)
        } else {
            ControlFlow::Continue(())
        }
    });
    assert_eq!(first, Ok(Some(5000)));
}

#[test]
fn a_byte_is_found_where_it_is() {
    let map = Anon::shared(100_000).map().unwrap();
    map.write(77_777, &1u8).unwrap();
    assert_eq!(map.find(.., 1), Ok(Some(77_777)));
    assert_eq!(map.find(..77_777, 1), Ok(None));
    assert_eq!(map.find(77_778.., 1), Ok(None));
    assert_eq!(map.find(100_001.., 1).unwrap_err().kind(), Kind::OutOfRange);
}

#[test]
fn a_cursor_agrees_with_one_of_the_standard_library() {
    let len = 100_000;
    let map = Anon::shared(len).map().unwrap();
    map.write_at(0, &pattern(len)).unwrap();
    let mut model = std::io::Cursor::new(pattern(len));
    let mut cursor = map.cursor();
    let mut random = 1u64;
    for turn in 0..3000 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let size = (random >> 33) as usize % 40_000;
        match (random >> 20) % 4 {
            0 => {
                let at = SeekFrom::Start(size as u64 * 3);
                assert_eq!(cursor.seek(at).unwrap(), model.seek(at).unwrap());
            }
            1 if model.position() as usize + size <= len => {
                let bytes = vec![turn as u8; size];
                cursor.write_all(&bytes).unwrap();
                model.write_all(&bytes).unwrap();
            }
            2 => {
                let (mut left, mut right) = (Vec::new(), Vec::new());
                Read::by_ref(&mut cursor)
                    .take(size as u64)
                    .read_until(7, &mut left)
                    .unwrap();
                Read::by_ref(&mut model)
                    .take(size as u64)
                    .read_until(7, &mut right)
                    .unwrap();
                assert!(left == right);
            }
            _ => {
                let (mut left, mut right) = (Vec::new(), Vec::new());
                Read::by_ref(&mut cursor)
                    .take(size as u64)
                    .read_to_end(&mut left)
                    .unwrap();
                Read::by_ref(&mut model)
                    .take(size as u64)
                    .read_to_end(&mut right)
                    .unwrap();
                assert!(left == right);
            }
        }
        assert_eq!(cursor.position(), model.position());
    }
    assert!(map.read_vec::<u8>(0, len).unwrap() == *model.get_ref());
}

#[test]
fn what_can_be_had_comes_before_the_error() {
    let fd = rustix::fs::memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
    rustix::io::write(&fd, &pattern(20_480)).unwrap();
    let map = FileMap::of(&fd).map().unwrap();
    rustix::fs::ftruncate(&fd, 12_288).unwrap();
    for buffered in [true, false] {
        let mut all = Vec::new();
        let mut cursor = map.cursor();
        let outcome = if buffered {
            loop {
                match cursor.fill_buf() {
                    Ok(bytes) => {
                        all.extend_from_slice(bytes);
                        let len = bytes.len();
                        cursor.consume(len);
                    }
                    Err(error) => break error,
                }
            }
        } else {
            let mut to = [0; 20_480];
            let done = cursor.read(&mut to).unwrap();
            all.extend_from_slice(&to[..done]);
            cursor.read(&mut to).unwrap_err()
        };
        assert_eq!(all, &pattern(20_480)[..12_288]);
        assert!(outcome.to_string().contains("bytes 12288"), "{outcome}");
    }
}
