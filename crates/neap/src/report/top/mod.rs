//! `neap top`: screens, the table of `--once`, JSON.
//!
//! [`list`] and [`process`] draw the two screens from a [`crate::top::view::View`], [`once`] prints one
//! table, [`record`] is the data of `--json`. [`palette`] has every colour and character, so that a
//! terminal with 16 colours, without any, or without Unicode is served everywhere alike. Text of processes
//! is made harmless before it is drawn.

mod cell;
mod chart;
mod head;
mod help;
mod palette;

pub(crate) mod list;
pub(crate) mod once;
pub(crate) mod process;
pub(crate) mod record;

pub(crate) use palette::Palette;

use ratatui::Frame;

use crate::top::view::View;

/// Draws whatever the view shows, and tells it how many processes fit.
pub(crate) fn draw(frame: &mut Frame, view: &mut View, palette: &Palette) {
    if view.process.is_some() {
        process::draw(frame, view, palette);
    } else {
        list::draw(frame, view, palette);
    }
    if view.help {
        help::draw(frame, palette);
    }
}

#[cfg(test)]
mod tests;
