//! [`Operation`]: what was asked of the kernel when it failed.

use std::fmt;

macro_rules! operations {
    ($($name:ident = $words:literal;)*) => {
        /// What was asked.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[non_exhaustive]
        pub enum Operation {
            $(#[doc = concat!("To ", $words, ".")] $name,)*
        }

        impl fmt::Display for Operation {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Operation::$name => $words,)* })
            }
        }
    };
}

operations! {
    Map = "map";
    Unmap = "unmap";
    Protect = "change the protection";
    Resize = "resize";
    Move = "move";
    Split = "split";
    Merge = "merge";
    Lock = "lock in memory";
    Unlock = "unlock";
    Flush = "flush";
    StartWriteback = "start writing back";
    Invalidate = "invalidate";
    Advise = "advise";
    Discard = "discard";
    Guard = "install or remove a guard";
    Residency = "look at the residency";
    Name = "name";
    Seal = "seal";
    Key = "use a protection key";
    Read = "read";
    Write = "write";
    Open = "open";
    Create = "create";
    Truncate = "set the length";
    Allocate = "allocate";
    Stat = "look at";
    SetOwner = "set the owner";
    SetMode = "set the mode";
    Unlink = "unlink";
    List = "list";
    Send = "send a descriptor";
    Receive = "receive a descriptor";
    Lease = "take a lease";
    Copy = "copy the file";
    Attach = "attach";
    Detach = "detach";
    Remove = "remove";
    Publish = "publish";
    Grow = "grow";
    Catch = "install the fault handler";
}
