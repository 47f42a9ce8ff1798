//! /dev/zero, the older way to anonymous memory.

use std::fs::OpenOptions;

use neap_map::Anon;
use neap_os::env::page_size;
use neap_os::mapping::{Prot, Request, Sharing};
use neap_os::unit::Span;

use crate::lab::area::{Area, private, shared};
use crate::lab::disk_file::{errno_of, map_failed};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, failed};
use crate::lab::offspring::{End, Turn};
use crate::lab::sight::Seen;

pub(super) const DEV_ZERO: Experiment = Experiment {
    name: "dev-zero-is-anonymous",
    chapter: Chapter::Kinds,
    question: "Is a mapping of /dev/zero the same as an anonymous one?",
    method: "Map a page MAP_SHARED|MAP_ANONYMOUS, two of /dev/zero shared and one of it private; store \
             to one of the shared ones and to the private. Fork: the parent stores to all, and the \
             child says what it sees before and after.",
    expectation: "Shared, both are RssShmem and show the parent's store to the child. Two shared \
                  mappings of /dev/zero do not show each other's stores. Private, it is RssAnon, and \
                  the child keeps what was there at fork.",
    explanation: "For a shared mapping of /dev/zero the kernel makes the same nameless tmpfs file as \
                  for MAP_SHARED|MAP_ANONYMOUS, a new one for each mmap: maps calls both /dev/zero \
                  (deleted). A private mapping of it is made anonymous at once. So it shares with \
                  children as anonymous memory does; that MAP_ANONYMOUS cannot be shared is wrong.",
    cannot_show: "Systems without MAP_ANONYMOUS, for which /dev/zero was made.",
    source: "Note 03, the program with /dev/zero; null(4), drivers/char/mem.c of Linux.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/dev-zero-is-anonymous.c"),
    rust: include_str!("../../code/dev-zero-is-anonymous.rs"),
    run: dev_zero,
};

fn dev_zero(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let zero = OpenOptions::new().read(true).write(true).open("/dev/zero");
    let zero = zero.map_err(|error| failed("open of /dev/zero")(errno_of(&error)))?;
    let of_zero = |sharing| Request {
        sharing,
        ..shared(&zero, page, Prot::READ.with(Prot::WRITE))
    };
    let anon = Area::new(&Request {
        sharing: Sharing::Shared,
        ..private(page)
    })?;
    let first = Area::new(&of_zero(Sharing::Shared))?;
    let second = Area::new(&of_zero(Sharing::Shared))?;
    let private = Area::new(&of_zero(Sharing::Private))?;
    // The child's answers: what it loads of each, before and after the parent's stores.
    let answers = Anon::shared(page).map().map_err(map_failed)?;
    let spans: [(&str, Span); 4] = [
        ("anonymous, shared", anon.span()),
        ("/dev/zero, shared", first.span()),
        ("/dev/zero, shared, again", second.span()),
        ("/dev/zero, private", private.span()),
    ];
    for (label, span) in spans {
        hand.watch(label, span);
    }
    let before = hand.look("mapped");
    for map in [&anon, &first, &private] {
        map.store(0, b'1');
    }
    let after = hand.look("stored to all but the second of /dev/zero");
    let other = second.load(0);
    let say = |at: usize| {
        [&anon, &first, &private]
            .into_iter()
            .zip(at..)
            .all(|(map, at)| answers.write_at(at, &[map.load(0)]).is_ok())
    };
    let child = |turn: &Turn| {
        let first = say(0);
        let again = turn.pass() && say(3);
        u8::from(!(first && again))
    };
    let (end, ()) = hand.beside(child, |_, turn| {
        turn.take();
        [&anon, &first, &private]
            .into_iter()
            .for_each(|map| map.store(0, b'2'));
        turn.give();
    })?;
    let mut seen = [0; 6];
    answers.read_at(0, &mut seen).map_err(map_failed)?;
    hand.expect_eq("the child", End::Exited(0), end);
    judge_kinds(hand, &before, &after);
    hand.expect_eq("byte that the second mapping of /dev/zero shows", 0, other);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    hand.expect_eq(
        "what the child sees at first: anonymous, /dev/zero, private",
        "111".to_owned(),
        text(&seen[..3]),
    );
    hand.expect_eq(
        "what it sees after the parent's stores",
        "221".to_owned(),
        text(&seen[3..]),
    );
    Ok(())
}

/// Of which kind the memory is.
fn judge_kinds(hand: &mut Hand, before: &Seen, after: &Seen) {
    let page_kb = page_size() as u64 / 1024;
    hand.expect_eq(
        "rise of RssShmem by two stores, in kB",
        2 * page_kb,
        after.rss_shmem_kb() - before.rss_shmem_kb(),
    );
    // Not smaps's Anonymous: a neighbour may have merged with it.
    hand.expect_eq(
        "pages of the private one that are there",
        1,
        after.span(3).present_pages(),
    );
    hand.expect_near(
        "rise of RssAnon by the store to the private one",
        page_kb,
        after.rss_anon_kb().saturating_sub(before.rss_anon_kb()),
        16,
        "kB",
    );
}
