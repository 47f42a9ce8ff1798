//! Reading, keys and drawing, together.
//!
//! One thread reads and sends pictures, one waits for keys, one for signals; this one owns the screen. A
//! reading that takes long, of a process with tens of thousands of mappings or hundreds of GiB, holds up
//! the next picture and no key.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use neap_proc::read::{Host, Proc};
use ratatui::Frame;
use ratatui::crossterm::event::KeyEvent;

use super::follower::{Follower, ProcessPicture};
use super::terminal::{self, Terminal};
use super::trimming;
use super::view::{Action, View};
use super::watcher::{Picture, Watcher};
use crate::failure::Failure;

/// CPU time of one round of reading PSS; wishes are heard between two rounds.
const ROUND: Duration = Duration::from_millis(30);
/// While PSS is read for the first time, pictures come that often.
const FILLING: Duration = Duration::from_millis(250);

/// What the main thread waits for.
pub(crate) enum Event {
    Key(KeyEvent),
    Resized,
    /// A signal that ends neap.
    End(i32),
    /// Ctrl-Z from elsewhere.
    Stop,
    /// Going on after a stop.
    GoOn,
    TerminalGone(io::Error),
    Picture(Box<Picture>),
    Process(Box<ProcessPicture>),
    /// A process has given back, or why not.
    GaveBack(u32, Result<String, String>),
    /// A process cannot be watched.
    Refused(u32, String),
}

/// To this thread, and to the one that reads.
struct Ways {
    events: Sender<Event>,
    wishes: Sender<Wish>,
}

/// What the reading thread is asked for.
enum Wish {
    /// These are on the screen.
    Visible(Vec<u32>),
    /// Watch one process.
    Open(u32),
    /// Watch all.
    Close,
    /// Read nothing until told otherwise.
    Pause,
    Resume,
    /// Read at once.
    Now,
}

/// Runs the screen until it is left. `draw` draws a view and tells it its lines.
pub(crate) fn run(
    view: &mut View,
    interval: Duration,
    pid: Option<u32>,
    mut draw: impl FnMut(&mut Frame, &mut View),
) -> Result<u8, Failure> {
    let mut terminal = Terminal::take()?;
    let (events, arriving) = mpsc::channel();
    let (wishes, wished) = mpsc::channel();
    let failed = |error: io::Error| Failure::own("the terminal", error);
    terminal::hear_signals(events.clone()).map_err(failed)?;
    terminal::hear_keys(events.clone());
    let ways = Ways {
        events: events.clone(),
        wishes,
    };
    std::thread::spawn(move || Reader::new(events, wished, interval).run());
    if let Some(pid) = pid {
        view.open(pid);
        let _ = ways.wishes.send(Wish::Open(pid));
    }
    let mut visible = Vec::new();
    loop {
        terminal
            .screen()
            .draw(|frame| draw(frame, view))
            .map_err(failed)?;
        let now_visible = view.visible();
        if now_visible != visible {
            visible.clone_from(&now_visible);
            let _ = ways.wishes.send(Wish::Visible(now_visible));
        }
        let Ok(event) = arriving.recv() else { return Ok(0) };
        // Whatever has come in the meantime is drawn at once.
        let waiting: Vec<Event> = arriving.try_iter().collect();
        for event in std::iter::once(event).chain(waiting) {
            match heard(event, view, &mut terminal, &ways).map_err(failed)? {
                Heard::GoOn => {}
                Heard::Quit => return Ok(0),
                Heard::End(signal) => {
                    drop(terminal);
                    return Err(terminal::end_by(signal));
                }
            }
        }
    }
}

enum Heard {
    GoOn,
    Quit,
    End(i32),
}

fn heard(event: Event, view: &mut View, terminal: &mut Terminal, ways: &Ways) -> io::Result<Heard> {
    match event {
        Event::Key(key) => return acted(view.key(key), view, terminal, ways),
        Event::Picture(picture) => view.take(*picture),
        Event::Process(picture) => view.take_process(*picture),
        Event::Refused(pid, why) => view.refuse(pid, why),
        Event::GaveBack(pid, result) => {
            view.gave_back(pid, result);
            let _ = ways.wishes.send(Wish::Now);
        }
        Event::Resized => {}
        Event::Stop => terminal.suspend()?,
        Event::GoOn => terminal.take_again()?,
        Event::End(signal) => return Ok(Heard::End(signal)),
        Event::TerminalGone(error) => return Err(error),
    }
    Ok(Heard::GoOn)
}

fn acted(action: Action, view: &View, terminal: &mut Terminal, ways: &Ways) -> io::Result<Heard> {
    let wish = match action {
        Action::None => return Ok(Heard::GoOn),
        Action::Quit => return Ok(Heard::Quit),
        Action::Suspend => {
            terminal.suspend()?;
            Wish::Now
        }
        Action::Refresh => {
            terminal.draw_anew()?;
            Wish::Now
        }
        Action::Open(pid) => Wish::Open(pid),
        Action::Close => Wish::Close,
        Action::Freeze if view.frozen => Wish::Pause,
        Action::Freeze => Wish::Resume,
        Action::GiveBack(pid) => {
            let events = ways.events.clone();
            // It may take a minute, of which nothing here need wait.
            std::thread::spawn(move || events.send(Event::GaveBack(pid, trimming::give_back_told(pid))));
            return Ok(Heard::GoOn);
        }
    };
    // The reader ends only with this thread.
    let _ = ways.wishes.send(wish);
    Ok(Heard::GoOn)
}

/// The thread that reads.
struct Reader {
    events: Sender<Event>,
    wishes: Receiver<Wish>,
    interval: Duration,
    watcher: Watcher,
    follower: Option<Follower>,
    visible: Vec<u32>,
    paused: bool,
    due: Instant,
    /// The list has PSS to read.
    filling: bool,
    shown: Instant,
}

/// The main thread has gone.
struct Over;

impl Reader {
    fn new(events: Sender<Event>, wishes: Receiver<Wish>, interval: Duration) -> Reader {
        Reader {
            events,
            wishes,
            interval,
            watcher: Watcher::new(Proc::default(), Host::default()),
            follower: None,
            visible: Vec::new(),
            paused: false,
            due: Instant::now(),
            filling: false,
            shown: Instant::now(),
        }
    }

    fn run(mut self) {
        while let Ok(()) = self.turn() {}
    }

    /// One round: what is due is read, then a wish is waited for.
    fn turn(&mut self) -> Result<(), Over> {
        if !self.paused && Instant::now() >= self.due {
            self.read()?;
        }
        if self.filling && !self.paused && self.follower.is_none() {
            self.fill()?;
        }
        let patience = if self.paused {
            Duration::from_secs(3600)
        } else if self.filling {
            Duration::ZERO
        } else {
            self.due.saturating_duration_since(Instant::now())
        };
        match self.wishes.recv_timeout(patience) {
            Ok(wish) => self.grant(wish),
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(Over),
        }
    }

    fn read(&mut self) -> Result<(), Over> {
        let mut pause = self.interval;
        if let Some(follower) = &mut self.follower {
            follower.read();
            let picture = follower.picture().clone();
            self.send(Event::Process(Box::new(picture)))?;
        } else {
            pause = pause.max(self.watcher.read());
            self.filling = true;
            self.show()?;
        }
        self.due = Instant::now() + pause;
        Ok(())
    }

    /// Reads PSS for a while; shows it when all of it is read, or enough for a look.
    fn fill(&mut self) -> Result<(), Over> {
        let progress = self.watcher.read_footprints(&self.visible, ROUND);
        self.filling = progress.read > 0 && progress.waiting > 0;
        if !self.filling || self.shown.elapsed() >= FILLING {
            self.show()?;
        }
        Ok(())
    }

    fn show(&mut self) -> Result<(), Over> {
        self.shown = Instant::now();
        let picture = self.watcher.picture();
        self.send(Event::Picture(Box::new(picture)))
    }

    fn grant(&mut self, wish: Wish) -> Result<(), Over> {
        match wish {
            Wish::Visible(pids) => self.visible = pids,
            Wish::Now => self.due = Instant::now(),
            Wish::Pause => self.paused = true,
            Wish::Resume => {
                self.paused = false;
                self.due = Instant::now();
            }
            Wish::Close => {
                self.follower = None;
                self.paused = false;
                self.due = Instant::now();
            }
            Wish::Open(pid) => match Follower::new(Proc::default(), Host::default(), pid) {
                Ok(follower) => {
                    self.send(Event::Process(Box::new(follower.picture().clone())))?;
                    self.follower = Some(follower);
                    self.paused = false;
                    self.due = Instant::now() + FILLING;
                }
                Err(why) => self.send(Event::Refused(pid, why))?,
            },
        }
        Ok(())
    }

    fn send(&self, event: Event) -> Result<(), Over> {
        self.events.send(event).map_err(|_| Over)
    }
}
