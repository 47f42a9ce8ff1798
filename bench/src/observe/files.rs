//! Files in the page cache: `neap file` beside vmtouch.
//!
//! Needs 600 MiB on the disk of the target directory, and as much memory for the cache. Before each run of
//! touch the pages are evicted; a run whose files were in memory already would measure nothing.

use super::command::{Figure, Tools, Words};
use crate::contest::{Contest, Target, Unit};
use crate::map::evict;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

const FILE_BYTES: usize = 4096;
const PER_FOLDER: u64 = 200;

/// Status and touch of a tree of small files, and of large ones.
pub(crate) fn contests(tools: &Tools) -> Result<Vec<Contest>, String> {
    let tree = Rc::new(Tree::make(&tools.folder.join("tree"), tools.scaled(20_000))?);
    let sparse = tools.folder.join("sparse");
    fs::create_dir_all(&tools.folder).map_err(|e| format!("{}: {e}", tools.folder.display()))?;
    let made = File::create(&sparse).and_then(|file| file.set_len(2 << 30));
    made.map_err(|e| format!("{}: {e}", sparse.display()))?;
    let cached = tools.folder.join("cached");
    let bytes = tools.scaled(512 << 20);
    write(&cached, usize::try_from(bytes).map_err(|e| e.to_string())?)?;
    let files = tree.files.len();
    let large = format!("{} MiB in the cache", bytes >> 20);
    Ok(vec![
        status(
            "file-status-tree",
            tools,
            format!("a tree of {files} files"),
            std::slice::from_ref(&tree.folder),
        ),
        status(
            "file-status-large",
            tools,
            format!("a sparse file of 2 GiB and one of {large}"),
            &[sparse, cached.clone()],
        ),
        touch(
            "file-touch-tree",
            tools,
            format!("a tree of {files} files"),
            &tree.folder,
            {
                let tree = Rc::clone(&tree);
                move || tree.files.iter().try_for_each(|path| evict_path(path))
            },
        ),
        touch(
            "file-touch-large",
            tools,
            format!("a file of {} MiB", bytes >> 20),
            &cached,
            {
                let cached = cached.clone();
                move || evict_path(&cached)
            },
        ),
    ])
}

fn status(name: &'static str, tools: &Tools, what: String, paths: &[PathBuf]) -> Contest {
    let all = |words: Words| paths.iter().fold(words, |words, path| words.and(path.clone()));
    Contest {
        name,
        what: format!("Time to say how much of {what} is in the page cache."),
        unit: Unit::Milliseconds,
        contenders: vec![
            all(tools.neap(["file", "status"])).contender("neap file status", Figure::Wall),
            all(Words::of("vmtouch")).contender("vmtouch", Figure::Wall),
        ],
        targets: vec![target("neap file status", "vmtouch")],
    }
}

fn touch(
    name: &'static str,
    tools: &Tools,
    what: String,
    path: &Path,
    evict: impl Fn() -> Result<(), String> + Clone + 'static,
) -> Contest {
    Contest {
        name,
        what: format!("Time to read {what} into the page cache, from which it was evicted before."),
        unit: Unit::Milliseconds,
        contenders: vec![
            tools
                .neap(["file", "touch"])
                .and(path)
                .prepared("neap file touch", Figure::Wall, evict.clone()),
            Words::of("vmtouch -t")
                .and(path)
                .prepared("vmtouch -t", Figure::Wall, evict),
        ],
        targets: vec![target("neap file touch", "vmtouch -t")],
    }
}

fn target(who: &'static str, rival: &'static str) -> Target {
    Target {
        who,
        rival,
        ratio: 1.0,
    }
}

/// Small files in folders.
struct Tree {
    folder: PathBuf,
    files: Vec<PathBuf>,
}

impl Tree {
    fn make(folder: &Path, count: u64) -> Result<Tree, String> {
        let mut files = Vec::new();
        for number in 0..count {
            let inner = folder.join((number / PER_FOLDER).to_string());
            if number % PER_FOLDER == 0 {
                fs::create_dir_all(&inner).map_err(|e| format!("{}: {e}", inner.display()))?;
            }
            let path = inner.join(number.to_string());
            fs::write(&path, [7; FILE_BYTES]).map_err(|e| format!("{}: {e}", path.display()))?;
            files.push(path);
        }
        // Clean pages can be evicted; dirty ones cannot.
        rustix::fs::syncfs(File::open(folder).map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
        Ok(Tree {
            folder: folder.to_owned(),
            files,
        })
    }
}

fn write(path: &Path, bytes: usize) -> Result<(), String> {
    let block = vec![7; 1 << 20];
    let written = File::create(path).and_then(|mut file| {
        for _ in 0..bytes.div_ceil(block.len()) {
            file.write_all(&block)?;
        }
        file.sync_all()
    });
    written.map_err(|e| format!("{}: {e}", path.display()))
}

fn evict_path(path: &Path) -> Result<(), String> {
    evict(&File::open(path).map_err(|e| format!("{}: {e}", path.display()))?)
}
