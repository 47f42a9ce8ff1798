//! Scripts: the first line, and the program that it ends up running.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::lookup;

/// How much of a file's start the kernel looks at.
const FIRST_LINE_BYTES: usize = 256;

/// The first line of a file, as much of it as the kernel reads.
pub(super) fn first_line(file: &mut File) -> io::Result<Vec<u8>> {
    file.rewind()?;
    let mut start = [0; FIRST_LINE_BYTES];
    let mut filled = 0;
    while let Some(rest) = start.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest)? {
            0 => break,
            read => filled += read,
        }
    }
    let start = start.get(..filled).unwrap_or_default();
    Ok(start
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default()
        .to_vec())
}

/// A script's first line.
pub(super) struct Script<'a> {
    interpreter: &'a OsStr,
    argument: Option<&'a [u8]>,
}

impl<'a> Script<'a> {
    pub(super) fn parse(line: &'a [u8]) -> Option<Script<'a>> {
        let rest = line.strip_prefix(b"#!")?.trim_ascii();
        let end = rest
            .iter()
            .position(u8::is_ascii_whitespace)
            .unwrap_or(rest.len());
        let (interpreter, argument) = rest.split_at(end);
        let argument = Some(argument.trim_ascii()).filter(|argument| !argument.is_empty());
        (!interpreter.is_empty()).then_some(Script {
            interpreter: OsStr::from_bytes(interpreter),
            argument,
        })
    }

    /// The program that ends up running: the interpreter, or what `env` is told to find.
    pub(super) fn program(&self) -> Result<PathBuf, String> {
        let wanted = self.through_env().unwrap_or(self.interpreter);
        lookup::find(wanted).map_err(|_| wanted.to_string_lossy().into_owned())
    }

    fn through_env(&self) -> Option<&'a OsStr> {
        if Path::new(self.interpreter).file_name()? != "env" {
            return None;
        }
        let words = self.argument?.split(u8::is_ascii_whitespace);
        let mut words =
            words.filter(|word| !word.is_empty() && !word.starts_with(b"-") && !word.contains(&b'='));
        words.next().map(OsStr::from_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_script_names_its_program() {
        let program = |line: &'static [u8]| Script::parse(line).and_then(|script| script.program().ok());
        assert_eq!(program(b"#!/bin/sh -e").unwrap(), Path::new("/bin/sh"));
        assert!(
            program(b"#! /usr/bin/env -S FOO=1 sh -x")
                .unwrap()
                .ends_with("sh")
        );
        assert_eq!(program(b"#!/no/such/thing"), None);
        assert!(Script::parse(b"#!").is_none() && Script::parse(b"echo").is_none());
    }
}
