//! Names of users by their numbers, remembered.
//!
//! By getpwuid_r(3), so users of a directory service have their names, too. The first question may wait for
//! that service; it is asked in the thread that reads, where it holds up no key.

use std::collections::HashMap;
use std::sync::Arc;

use nix::unistd::{Uid, User};

/// Answers remembered; beyond that they are asked for again.
const ANSWERS_MAX: usize = 4096;

/// Answers so far.
#[derive(Debug, Default)]
pub(crate) struct Users {
    names: HashMap<u32, Arc<str>>,
}

impl Users {
    /// The name of a user, or the number as text when nobody knows one.
    pub(crate) fn name(&mut self, id: u32) -> Arc<str> {
        if let Some(name) = self.names.get(&id) {
            return Arc::clone(name);
        }
        let user = User::from_uid(Uid::from_raw(id)).ok().flatten();
        let name: Arc<str> = user.map_or_else(|| id.to_string(), |user| user.name).into();
        if self.names.len() < ANSWERS_MAX {
            self.names.insert(id, Arc::clone(&name));
        }
        name
    }
}

/// The user of a name or a number; a complaint for a command line.
pub(crate) fn parse_user(text: &str) -> Result<u32, String> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    match User::from_name(text) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        Ok(None) => Err(format!("there is no user `{text}`; write a name or a number")),
        Err(errno) => Err(format!("`{text}` could not be looked up: {errno}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_a_name_and_an_unknown_user_a_number() {
        let mut users = Users::default();
        assert_eq!(&*users.name(0), "root");
        assert_eq!(&*users.name(4_123_456_789), "4123456789");
        assert_eq!(parse_user("root"), Ok(0));
        assert_eq!(parse_user("77"), Ok(77));
        assert!(parse_user("no such user").unwrap_err().contains("no user"));
    }
}
