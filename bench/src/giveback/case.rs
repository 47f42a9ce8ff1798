//! The bursts: what is allocated, who survives, and what is asked of neap half a second later.

/// Who allocates. It is always the main thread that frees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filler {
    Main,
    /// Four threads, which end before anything is freed.
    Exit,
    /// Four threads, which stay, blocked.
    Idle,
}

impl Filler {
    fn word(self) -> &'static str {
        match self {
            Filler::Main => "main",
            Filler::Exit => "exit",
            Filler::Idle => "idle",
        }
    }
}

/// What resident memory is divided by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    /// At most so many times the bytes that live.
    OfLive(f64),
    /// At most so many times the pages that hold a live byte.
    OfFloor(f64),
    /// At most so many MiB.
    MiB(f64),
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// Short, without blanks: the name in records and files.
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) which: &'static str,
    pub(crate) share: f64,
    pub(crate) sizes: (usize, usize),
    pub(crate) filler: Filler,
    pub(crate) target: Target,
}

const MIXED: (usize, usize) = (16, 65536);
const SMALL: (usize, usize) = (16, 1024);

const fn case(
    id: &'static str,
    title: &'static str,
    which: &'static str,
    share: f64,
    target: Target,
) -> Case {
    Case {
        id,
        title,
        which,
        share,
        sizes: MIXED,
        filler: Filler::Main,
        target,
    }
}

const fn small(id: &'static str, title: &'static str, share: f64) -> Case {
    let mixed = case(id, title, "random", share, Target::OfFloor(1.1));
    Case {
        sizes: SMALL,
        ..mixed
    }
}

const fn filled_by(filler: Filler, id: &'static str, title: &'static str) -> Case {
    let main = case(id, title, "random", 0.1, Target::OfLive(1.7));
    Case { filler, ..main }
}

/// In the order of the table.
pub(crate) const CASES: [Case; 10] = [
    case(
        "scattered",
        "survivors scattered",
        "random",
        0.1,
        Target::OfLive(1.6),
    ),
    case(
        "youngest",
        "the youngest 10 % live",
        "youngest",
        0.1,
        Target::OfLive(1.15),
    ),
    case(
        "oldest",
        "the oldest 10 % live",
        "oldest",
        0.1,
        Target::OfLive(1.15),
    ),
    case(
        "thousandth",
        "1 in 1000 lives",
        "random",
        0.001,
        Target::MiB(10.0),
    ),
    filled_by(
        Filler::Exit,
        "threads-exit",
        "four threads fill and exit, main frees",
    ),
    filled_by(Filler::Idle, "threads-idle", "the same, threads idle"),
    case("none", "all freed", "random", 0.0, Target::MiB(8.0)),
    small("small-5", "16-1024 B, 5 % live", 0.05),
    small("small-10", "16-1024 B, 10 % live", 0.1),
    small("small-20", "16-1024 B, 20 % live", 0.2),
];

impl Case {
    /// The words for `burst`, for a burst of `mib` MiB.
    pub(crate) fn words(&self, mib: usize, calling: bool) -> [String; 7] {
        [
            self.which.to_owned(),
            self.share.to_string(),
            mib.to_string(),
            self.sizes.0.to_string(),
            self.sizes.1.to_string(),
            self.filler.word().to_owned(),
            if calling { "calling" } else { "idle" }.to_owned(),
        ]
    }
}
