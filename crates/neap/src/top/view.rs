//! The state of the screen: what is shown, what a key does. Reads nothing and draws nothing.
//!
//! The selection is a process, not a line: it stays with its process when the order changes. While the
//! screen is frozen new pictures are dropped, and keys work on the one that is shown. A key that needs more
//! than this state answers with an [`Action`].

use neap_proc::Reading;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::follower::ProcessPicture;
use super::order::{self, Column, Direction, Filter, Place, Sort};
use super::row::{Identity, Row};
use super::watcher::Picture;

/// What is asked of whoever runs the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    None,
    Quit,
    /// Stop as for Ctrl-Z of the shell.
    Suspend,
    /// Draw everything anew and read at once.
    Refresh,
    /// Watch this process.
    Open(u32),
    /// Watch all again.
    Close,
    /// Stop reading, or go on.
    Freeze,
    /// Have this process give back what is free in its heap.
    GiveBack(u32),
}

/// A line that is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The text of the filter.
    Text,
    /// The user of the filter.
    User,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Flat,
    Tree,
}

/// Said in the last line until the next key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Done(String),
    Failed(String),
}

/// The screen.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) picture: Picture,
    /// Rows of the picture that are listed, in order.
    pub(crate) places: Vec<Place>,
    pub(crate) sort: Sort,
    pub(crate) shape: Shape,
    pub(crate) filter: Filter,
    pub(crate) entry: Option<Entry>,
    pub(crate) selected: Option<Identity>,
    /// Where the selected process stood when it was last listed.
    selected_at: usize,
    /// The first place on the screen.
    pub(crate) first: usize,
    /// Places that the screen has room for.
    lines: usize,
    /// `Some`: one process is shown.
    pub(crate) process: Option<ProcessPicture>,
    /// A process was asked for and is not read yet.
    pub(crate) opening: Option<u32>,
    pub(crate) frozen: bool,
    pub(crate) help: bool,
    pub(crate) notice: Option<Notice>,
    /// Who runs neap.
    own_user: u32,
    /// Whether this process of another user is to give back: asked, not answered.
    pub(crate) asking: Option<u32>,
    /// This process is giving back.
    pub(crate) giving: Option<u32>,
}

impl View {
    pub(crate) fn new(sort: Sort, filter: Filter, own_user: u32) -> View {
        View {
            picture: Picture::not_yet(),
            places: Vec::new(),
            sort,
            shape: Shape::Flat,
            filter,
            entry: None,
            selected: None,
            selected_at: 0,
            first: 0,
            lines: 1,
            process: None,
            opening: None,
            frozen: false,
            help: false,
            notice: None,
            own_user,
            asking: None,
            giving: None,
        }
    }

    /// A new picture of all processes. Dropped while the screen is frozen or shows one process.
    pub(crate) fn take(&mut self, picture: Picture) {
        let first = self.picture.rows.is_empty();
        if (!self.frozen || first) && self.process.is_none() {
            self.picture = picture;
            self.arrange();
        }
    }

    /// A new picture of one process.
    pub(crate) fn take_process(&mut self, picture: ProcessPicture) {
        let pid = picture.row.process.pid;
        let shown = self.process.as_ref().map(|process| process.row.process.pid);
        if self.opening == Some(pid) || (shown == Some(pid) && !self.frozen) {
            self.opening = None;
            self.process = Some(picture);
        }
    }

    /// A process is to be shown as soon as it is read.
    pub(crate) fn open(&mut self, pid: u32) {
        self.opening = Some(pid);
        self.notice = None;
        self.frozen = false;
    }

    /// It cannot be.
    pub(crate) fn refuse(&mut self, pid: u32, why: String) {
        if self.opening == Some(pid) {
            self.opening = None;
            self.notice = Some(Notice::Failed(why));
        }
    }

    /// A process has given back, or could not.
    pub(crate) fn gave_back(&mut self, pid: u32, result: Result<String, String>) {
        if self.giving == Some(pid) {
            self.giving = None;
        }
        self.notice = Some(match result {
            Ok(text) => Notice::Done(text),
            Err(why) => Notice::Failed(why),
        });
    }

    /// The room for places, told whenever it is drawn.
    pub(crate) fn set_lines(&mut self, lines: usize) {
        self.lines = lines.max(1);
        self.scroll();
    }

    /// The rows on the screen, each with its depth in the tree.
    pub(crate) fn on_screen(&self) -> impl Iterator<Item = (&Row, usize)> {
        let places = self.places.iter().skip(self.first).take(self.lines);
        places.filter_map(|place| Some((self.picture.rows.get(place.index)?, place.depth)))
    }

    /// Their pids: these are read first.
    pub(crate) fn visible(&self) -> Vec<u32> {
        if self.process.is_some() {
            return Vec::new();
        }
        self.on_screen().map(|(row, _)| row.process.pid).collect()
    }

    /// Whether root runs neap.
    pub(crate) fn is_root(&self) -> bool {
        self.own_user == 0
    }

    /// Whether figures of a listed process are kept from this user.
    pub(crate) fn has_denied(&self) -> bool {
        let mut listed = self
            .places
            .iter()
            .filter_map(|place| self.picture.rows.get(place.index));
        listed.any(Row::is_denied)
    }

    /// A key was pressed.
    pub(crate) fn key(&mut self, key: KeyEvent) -> Action {
        if key.kind == KeyEventKind::Release {
            return Action::None;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            match key.code {
                KeyCode::Char('c') => return Action::Quit,
                KeyCode::Char('z') => return Action::Suspend,
                KeyCode::Char('l') => return Action::Refresh,
                _ => {}
            }
        }
        self.notice = None;
        if self.help {
            self.help = false;
            return match key.code {
                KeyCode::Char('q') => Action::Quit,
                _ => Action::None,
            };
        }
        if let Some(entry) = self.entry.clone() {
            self.typed(&entry, key);
            return Action::None;
        }
        if let Some(pid) = self.asking.take() {
            return match key.code {
                KeyCode::Char('y' | 'Y') => self.give(pid),
                _ => Action::None,
            };
        }
        match key.code {
            KeyCode::Char('t') => self.trim(),
            KeyCode::Char('q') => Action::Quit,
            KeyCode::Char('h' | '?') | KeyCode::F(1) => {
                self.help = true;
                Action::None
            }
            KeyCode::Char(' ') => self.freeze(),
            _ if self.process.is_some() => self.process_key(key.code),
            code => self.list_key(code),
        }
    }

    /// The process on the screen or the selected one is to give back; that of another user only when he who
    /// runs neap says so again.
    fn trim(&mut self) -> Action {
        let selected = self
            .places
            .get(self.selected_at)
            .filter(|_| self.selected.is_some());
        let row = match &self.process {
            Some(process) => Some(&process.row),
            None => selected.and_then(|place| self.picture.rows.get(place.index)),
        };
        let Some(row) = row else {
            self.notice = Some(Notice::Failed("select a process first, by the arrows".to_owned()));
            return Action::None;
        };
        let (pid, user) = (row.process.pid, row.process.user.value());
        if user == Some(self.own_user) {
            return self.give(pid);
        }
        self.asking = Some(pid);
        Action::None
    }

    fn give(&mut self, pid: u32) -> Action {
        if let Some(other) = self.giving {
            self.notice = Some(Notice::Failed(format!("process {other} is giving back still")));
            return Action::None;
        }
        self.giving = Some(pid);
        Action::GiveBack(pid)
    }

    fn freeze(&mut self) -> Action {
        self.frozen = !self.frozen;
        Action::Freeze
    }

    fn process_key(&mut self, code: KeyCode) -> Action {
        match code {
            KeyCode::Esc | KeyCode::Backspace | KeyCode::Left => {
                self.process = None;
                self.frozen = false;
                Action::Close
            }
            _ => Action::None,
        }
    }

    fn list_key(&mut self, code: KeyCode) -> Action {
        let page = isize::try_from(self.lines).unwrap_or(isize::MAX);
        match code {
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::PageDown => self.step(page),
            KeyCode::PageUp => self.step(-page),
            KeyCode::Home => self.step(isize::MIN),
            KeyCode::End => self.step(isize::MAX),
            KeyCode::Right | KeyCode::Char('>') => self.sort_by(self.sort.column.moved(1)),
            KeyCode::Left | KeyCode::Char('<') => self.sort_by(self.sort.column.moved(-1)),
            KeyCode::Char('v') => {
                self.sort.direction = self.sort.direction.turned();
                self.arrange();
            }
            KeyCode::Char('e') => {
                self.shape = match self.shape {
                    Shape::Flat => Shape::Tree,
                    Shape::Tree => Shape::Flat,
                };
                self.arrange();
            }
            KeyCode::Char('/') => self.entry = Some(Entry::Text),
            KeyCode::Char('U') => self.entry = Some(Entry::User),
            KeyCode::Esc => self.back(),
            KeyCode::Enter => return self.enter(),
            KeyCode::Char(letter) => {
                if let Some(column) = Column::ALL.into_iter().find(|column| column.key() == letter) {
                    self.sort_by(column);
                }
            }
            _ => {}
        }
        Action::None
    }

    /// Esc takes back one thing after the other: the selection, then the filter.
    fn back(&mut self) {
        if self.selected.take().is_none() {
            self.filter = Filter::default();
            self.arrange();
        }
    }

    fn enter(&mut self) -> Action {
        let first = self.on_screen().next().map(|(row, _)| row.identity());
        match self.selected.or(first) {
            Some(identity) => {
                self.selected = Some(identity);
                self.open(identity.pid);
                Action::Open(identity.pid)
            }
            None => Action::None,
        }
    }

    /// Sorting twice by a column turns the direction.
    fn sort_by(&mut self, column: Column) {
        if self.sort.column == column {
            self.sort.direction = self.sort.direction.turned();
        } else {
            self.sort = Sort {
                column,
                direction: Direction::Usual,
            };
        }
        self.first = 0;
        self.arrange();
    }

    fn typed(&mut self, entry: &Entry, key: KeyEvent) {
        let line = match entry {
            Entry::Text => &mut self.filter.text,
            Entry::User => &mut self.filter.user,
        };
        match key.code {
            KeyCode::Enter => self.entry = None,
            KeyCode::Esc => {
                line.clear();
                self.entry = None;
            }
            KeyCode::Backspace => _ = line.pop(),
            KeyCode::Char('u' | 'w') if key.modifiers.contains(KeyModifiers::CONTROL) => line.clear(),
            KeyCode::Char(letter) if !key.modifiers.contains(KeyModifiers::CONTROL) => line.push(letter),
            _ => {}
        }
        self.arrange();
    }

    fn arrange(&mut self) {
        self.places = match self.shape {
            Shape::Flat => order::flat(&self.picture.rows, &self.filter, self.sort),
            Shape::Tree => order::tree(&self.picture.rows, &self.filter, self.sort),
        };
        if let Some(at) = self.place_of_selected() {
            self.selected_at = at;
        } else if self.selected.is_some() {
            // It has ended, or is filtered out: who stands in its place now is the next best.
            self.select(self.selected_at);
        }
        self.scroll();
    }

    fn place_of_selected(&self) -> Option<usize> {
        let selected = self.selected?;
        let identity = |place: &Place| self.picture.rows.get(place.index).map(Row::identity);
        self.places
            .iter()
            .position(|place| identity(place) == Some(selected))
    }

    fn select(&mut self, at: usize) {
        let at = at.min(self.places.len().saturating_sub(1));
        let place = self.places.get(at);
        self.selected = place
            .and_then(|place| self.picture.rows.get(place.index))
            .map(Row::identity);
        self.selected_at = at;
    }

    fn step(&mut self, by: isize) {
        let at = match self.place_of_selected() {
            Some(at) => at.saturating_add_signed(by),
            // The first step selects the first on the screen.
            None if by == isize::MAX => usize::MAX,
            None => self.first,
        };
        self.select(at);
        self.scroll();
    }

    /// Keeps the selected process on the screen, and the screen full.
    fn scroll(&mut self) {
        if let Some(at) = self.place_of_selected() {
            let last = self.first.saturating_add(self.lines - 1);
            if at < self.first {
                self.first = at;
            } else if at > last {
                self.first = at + 1 - self.lines;
            }
        }
        self.first = self.first.min(self.places.len().saturating_sub(self.lines));
    }

    /// Sums of what is listed: PSS, USS, swap, each over the rows that have it.
    pub(crate) fn sums(&self) -> [u64; 3] {
        let listed = self
            .places
            .iter()
            .filter_map(|place| self.picture.rows.get(place.index));
        listed.fold([0; 3], |sums, row| {
            let footprint = &row.process.footprint;
            let figures = [
                footprint.proportional_bytes,
                footprint.unique_bytes,
                footprint.swap_bytes,
            ];
            let add = |(sum, figure): (u64, Reading<u64>)| sum.saturating_add(figure.value().unwrap_or(0));
            let mut added = sums.into_iter().zip(figures).map(add);
            sums.map(|sum| added.next().unwrap_or(sum))
        })
    }
}

#[cfg(test)]
mod tests;
