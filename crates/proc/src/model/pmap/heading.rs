//! The first line of `pmap -x`: the process and its command line, as procps 4.0.2 prints both.
//!
//! A zero byte and a newline are blanks. Where the locale is UTF-8, a character that cannot be printed is `?`,
//! up to the first bytes that are no UTF-8; from there on, and in other locales everywhere, a control
//! character is `.` and a byte above ASCII `?`. Which characters can be printed is the C library's to say: here
//! those are not that Unicode calls control characters or line ends.

use std::fmt::Write as _;

use crate::parse::State;

/// procps reads so much of a command line.
const COMMAND_BYTES_MAX: usize = (128 << 10) - 1;

/// How the locale writes characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Characters {
    /// As UTF-8.
    Utf8,
    /// One byte each.
    Bytes,
}

/// The line without its end. `command` is `/proc/PID/cmdline` as it is; without one the `name` stands in brackets.
#[must_use]
pub fn heading(pid: u32, command: &[u8], name: &str, state: State, characters: Characters) -> String {
    let mut line = format!("{pid}:   ");
    let arguments = command.strip_suffix(b"\0").unwrap_or(command);
    if arguments.is_empty() {
        let defunct = if state == State::Zombie { " <defunct>" } else { "" };
        line.push('[');
        escape(&mut line, name.as_bytes(), characters);
        let _ = write!(line, "]{defunct}");
        return line;
    }
    let arguments = arguments.get(..COMMAND_BYTES_MAX).unwrap_or(arguments);
    let blanks: Vec<u8> = arguments
        .iter()
        .map(|byte| if matches!(byte, 0 | b'\n') { b' ' } else { *byte })
        .collect();
    escape(&mut line, &blanks, characters);
    line
}

fn escape(line: &mut String, bytes: &[u8], characters: Characters) {
    let text = match (characters, str::from_utf8(bytes)) {
        (Characters::Bytes, _) => "",
        (Characters::Utf8, Ok(text)) => text,
        (Characters::Utf8, Err(error)) => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            str::from_utf8(valid).unwrap_or_default()
        }
    };
    line.extend(text.chars().map(|c| match c {
        '\u{2028}' | '\u{2029}' => '?',
        c if c.is_control() => '?',
        c => c,
    }));
    let rest = bytes.get(text.len()..).unwrap_or_default();
    line.extend(rest.iter().map(|byte| match byte {
        b' '..=b'~' => char::from(*byte),
        0x80.. => '?',
        _ => '.',
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(command: &[u8], characters: Characters) -> String {
        heading(7, command, "na\x01me", State::Zombie, characters)
    }

    #[test]
    fn a_command_line_is_printed_as_procps_prints_it() {
        assert_eq!(of(b"a\0b\nc\0\0", Characters::Utf8), "7:   a b c ");
        let foreign = "é\t€".as_bytes();
        assert_eq!(of(foreign, Characters::Utf8), "7:   é?€");
        assert_eq!(of(foreign, Characters::Bytes), "7:   ??.???");
        assert_eq!(of(b"\xc3\xa9\t\xff\t\xc3\xa9", Characters::Utf8), "7:   é??.??");
        assert_eq!(of(b"", Characters::Utf8), "7:   [na?me] <defunct>");
    }
}
