//! A crate of its own that the tests build with cargo and rustc under libneap.so.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display};

/// A tree of named values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tree<V> {
    pub value: Option<V>,
    pub branches: BTreeMap<String, Tree<V>>,
}

impl<V: Clone + Debug + Display> Tree<V> {
    /// Puts a value at a path of words.
    pub fn insert(&mut self, path: &str, value: V) {
        let mut at = self;
        for word in path.split('/') {
            at = at.branches.entry(word.to_owned()).or_insert_with(|| Tree { value: None, branches: BTreeMap::new() });
        }
        at.value = Some(value);
    }

    /// All values with their depth, in order.
    pub fn walk(&self) -> Box<dyn Iterator<Item = (usize, V)> + '_> {
        let below = self.branches.values().flat_map(|b| b.walk().map(|(depth, v)| (depth + 1, v)));
        Box::new(self.value.clone().into_iter().map(|v| (0, v)).chain(below))
    }
}

impl<V: Display> Display for Tree<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, branch) in &self.branches {
            match &branch.value {
                Some(value) => write!(f, "({name}={value} {branch})")?,
                None => write!(f, "({name} {branch})")?,
            }
        }
        Ok(())
    }
}

macro_rules! shapes {
    ($($name:ident: $($field:ident),*;)*) => {
        $(
            #[derive(Clone, Debug, Default, PartialEq, PartialOrd, Eq, Ord, Hash)]
            pub struct $name { $(pub $field: Vec<(String, u64)>),* }
            impl $name {
                pub fn total(&self) -> u64 {
                    0 $(+ self.$field.iter().map(|(name, n)| n * name.len() as u64).sum::<u64>())*
                }
            }
        )*
    };
}

shapes! {
    Point: x, y;
    Line: from, to, width;
    Face: a, b, c, d, colour;
    Body: faces, edges, corners, weight, name, note;
}
