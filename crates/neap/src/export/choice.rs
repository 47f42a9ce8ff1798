//! Which processes are exported.
//!
//! Conditions of different kinds must all hold, of one kind any. Without a condition those under libneap.so are
//! chosen. Kernel threads have no memory and are never chosen. What costs least is asked first.

use std::fmt;

/// What `--name` takes: a pattern of the shell, or a regular expression between slashes.
#[derive(Clone, Debug)]
pub(crate) enum NamePattern {
    Glob(glob::Pattern),
    Regex(regex_lite::Regex),
}

impl NamePattern {
    /// # Errors
    /// What is wrong with the text, and how to write it.
    pub(crate) fn parse(text: &str) -> Result<NamePattern, String> {
        let inside = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
        match inside.filter(|inside| !inside.is_empty()) {
            Some(inside) => regex_lite::Regex::new(inside)
                .map(NamePattern::Regex)
                .map_err(|error| format!("{error}; between slashes stands a regular expression")),
            None => glob::Pattern::new(text)
                .map(NamePattern::Glob)
                .map_err(|error| format!("{error}; write a name, 'php*', or '/^php-fpm/'")),
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            NamePattern::Glob(pattern) => pattern.matches(name),
            NamePattern::Regex(regex) => regex.is_match(name),
        }
    }
}

/// A user by number, with the name that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserNumber(pub(crate) u32);

impl UserNumber {
    /// # Errors
    /// There is no such user.
    pub(crate) fn parse(text: &str) -> Result<UserNumber, String> {
        crate::users::parse_user(text).map(UserNumber)
    }
}

/// Whether the heap matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Under {
    /// Only processes with a heap of libneap.so.
    Libneap,
    /// Any.
    Anything,
}

/// The conditions.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) pids: Vec<u32>,
    pub(crate) names: Vec<NamePattern>,
    pub(crate) users: Vec<UserNumber>,
    pub(crate) groups: Vec<String>,
    pub(crate) under: Under,
    /// Most processes to export.
    pub(crate) limit: usize,
}

impl Choice {
    /// Whether a process may be chosen for its pid.
    pub(crate) fn has_pid(&self, pid: u32) -> bool {
        self.pids.is_empty() || self.pids.contains(&pid)
    }

    /// Whether its name is wanted: the kernel's, or that of its first argument's file (asked only if needed).
    pub(crate) fn has_name(&self, name: &str, program: impl FnOnce() -> Option<String>) -> bool {
        if self.names.is_empty() || self.names.iter().any(|pattern| pattern.matches(name)) {
            return true;
        }
        program().is_some_and(|program| {
            let file = program.rsplit('/').next().unwrap_or(&program);
            self.names.iter().any(|pattern| pattern.matches(file))
        })
    }

    /// Whether its effective user is wanted.
    pub(crate) fn has_user(&self, user: Option<u32>) -> bool {
        self.users.is_empty() || user.is_some_and(|user| self.users.contains(&UserNumber(user)))
    }

    /// Whether its control group is wanted, or lies below one that is.
    pub(crate) fn has_group(&self, path: Option<&str>) -> bool {
        let below = |wanted: &String| {
            let wanted = wanted.trim_matches('/');
            let rest = path.and_then(|path| path.trim_matches('/').strip_prefix(wanted));
            rest.is_some_and(|rest| rest.is_empty() || wanted.is_empty() || rest.starts_with('/'))
        };
        self.groups.is_empty() || self.groups.iter().any(below)
    }
}

impl fmt::Display for Choice {
    /// In words, for the page at `/`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.pids.is_empty() {
            parts.push(format!("{} given pids", self.pids.len()));
        }
        if !self.names.is_empty() {
            parts.push("given names".to_owned());
        }
        if !self.users.is_empty() {
            parts.push("given users".to_owned());
        }
        if !self.groups.is_empty() {
            parts.push("given control groups".to_owned());
        }
        if self.under == Under::Libneap {
            parts.push("a heap of libneap.so".to_owned());
        }
        if parts.is_empty() {
            f.write_str("all processes")
        } else {
            write!(f, "processes with {}", parts.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Choice {
        Choice {
            pids: vec![],
            names: vec![],
            users: vec![],
            groups: vec![],
            under: Under::Anything,
            limit: 10,
        }
    }

    #[test]
    fn names_are_patterns_or_regular_expressions() {
        let choice = |text: &str| Choice {
            names: vec![NamePattern::parse(text).unwrap()],
            ..all()
        };
        let none = || None;
        assert!(choice("php*").has_name("php-fpm", none) && !choice("php").has_name("php-fpm", none));
        assert!(choice("/^php/").has_name("php-fpm", none) && !choice("/^fpm/").has_name("php-fpm", none));
        let long = || Some("/usr/bin/a-very-long-program-name".to_owned());
        assert!(choice("*-program-name").has_name("a-very-long-pro", long));
        assert!(NamePattern::parse("/(/").is_err() && NamePattern::parse("a[").is_err());
        assert!(matches!(NamePattern::parse("/"), Ok(NamePattern::Glob(_))));
        assert!(all().has_name("x", || panic!("not asked when every name will do")));
    }

    #[test]
    fn a_user_is_a_name_or_a_number() {
        assert_eq!(UserNumber::parse("root"), Ok(UserNumber(0)));
        assert_eq!(UserNumber::parse("4711"), Ok(UserNumber(4711)));
        assert!(
            UserNumber::parse("nobody-by-this-name")
                .unwrap_err()
                .contains("no user")
        );
        let choice = Choice {
            users: vec![UserNumber(7)],
            ..all()
        };
        assert!(choice.has_user(Some(7)) && !choice.has_user(Some(8)) && !choice.has_user(None));
    }

    #[test]
    fn a_group_contains_those_below_it() {
        let choice = |path: &str| Choice {
            groups: vec![path.to_owned()],
            ..all()
        };
        let wanted = choice("/system.slice");
        assert!(wanted.has_group(Some("/system.slice/a.service")) && wanted.has_group(Some("/system.slice")));
        assert!(!wanted.has_group(Some("/system.slice2")) && !wanted.has_group(None));
        assert!(choice("system.slice/").has_group(Some("/system.slice/a.service")));
        assert!(choice("/").has_group(Some("/anything")));
    }
}
