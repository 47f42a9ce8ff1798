//! The terminal: taken, and given back as it was, however neap ends.
//!
//! ratatui sets raw mode and the alternate screen and has a panic hook that restores both. Signals that end
//! neap are heard by a thread and come as events; the terminal is restored first, then the signal does what
//! it always does, so the shell sees a program that a signal ended. A stop (Ctrl-Z, `kill -TSTP`) restores
//! it, too, and going on takes it again.

use std::io::{self, IsTerminal as _};
use std::sync::mpsc::Sender;

use ratatui::DefaultTerminal;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::terminal::{EnterAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::crossterm::{event, execute};
use ratatui::layout::{Position, Rect};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use super::live::Event;
use crate::failure::{Failure, OWN, USAGE};

/// The terminal while neap has it.
pub(crate) struct Terminal {
    screen: DefaultTerminal,
}

impl Terminal {
    /// Takes the terminal.
    pub(crate) fn take() -> Result<Terminal, Failure> {
        if let Some(why) = unfit() {
            return Err(Failure {
                code: USAGE,
                message: format!("{why}; neap top --once prints one table anywhere"),
            });
        }
        let screen = ratatui::try_init().map_err(|error| Failure {
            code: OWN,
            message: format!("the terminal cannot be set up: {error}; neap top --once needs none"),
        })?;
        show_cursor_on_panic();
        Ok(Terminal { screen })
    }

    /// Where to draw.
    pub(crate) fn screen(&mut self) -> &mut DefaultTerminal {
        &mut self.screen
    }

    /// Stops this process as the shell's Ctrl-Z does, with the terminal as it was, and takes it again after.
    pub(crate) fn suspend(&mut self) -> io::Result<()> {
        self.screen.show_cursor()?;
        ratatui::try_restore()?;
        low_level::emulate_default_handler(SIGTSTP)?;
        self.take_again()
    }

    /// Takes the terminal anew: somebody may have changed it while this process was stopped.
    pub(crate) fn take_again(&mut self) -> io::Result<()> {
        // crossterm keeps the mode that it found, and sets raw mode only after that was given back.
        disable_raw_mode()?;
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen)?;
        self.draw_anew()
    }

    /// Makes the next drawing a whole one. Not by `clear`, which asks the terminal where its cursor is and
    /// would wait for an answer that the thread with the keys reads.
    pub(crate) fn draw_anew(&mut self) -> io::Result<()> {
        let size = self.screen.size()?;
        self.screen.resize(Rect::from((Position::ORIGIN, size)))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A terminal that is gone cannot be restored, and nobody would see it.
        let _ = ratatui::try_restore();
    }
}

/// ratatui's own hook, which runs after this one, gives back everything but the cursor.
fn show_cursor_on_panic() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let _ = execute!(io::stdout(), Show);
        hook(info);
    }));
}

/// Why there is no screen to draw on.
fn unfit() -> Option<&'static str> {
    if !io::stdout().is_terminal() {
        return Some("stdout is no terminal");
    }
    if std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb") {
        return Some("TERM names no terminal with a screen");
    }
    None
}

/// Sends keys and changes of size, from a thread that ends with the process.
pub(crate) fn hear_keys(events: Sender<Event>) {
    std::thread::spawn(move || {
        loop {
            let event = match event::read() {
                Ok(event::Event::Key(key)) => Event::Key(key),
                Ok(event::Event::Resize(..)) => Event::Resized,
                Ok(_) => continue,
                Err(error) => Event::TerminalGone(error),
            };
            let over = matches!(event, Event::TerminalGone(_));
            if events.send(event).is_err() || over {
                return;
            }
        }
    });
}

/// Sends signals, from a thread that ends with the process.
pub(crate) fn hear_signals(events: Sender<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT])?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let event = match signal {
                SIGTSTP => Event::Stop,
                SIGCONT => Event::GoOn,
                ending => Event::End(ending),
            };
            if events.send(event).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// Lets a signal end this process as if nobody had heard it.
pub(crate) fn end_by(signal: i32) -> Failure {
    let _ = low_level::emulate_default_handler(signal);
    Failure {
        code: 128_u8.saturating_add(u8::try_from(signal).unwrap_or(0)),
        message: format!("ended by signal {signal}"),
    }
}
