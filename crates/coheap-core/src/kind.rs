//! The kinds of objects: one table, with a line for each kind.
//!
//! What always holds: a number never gets another meaning, because it is stored in every heap that
//! has such an object. All code that depends on the kind is generated from this table, here and on
//! the floors above: see `objects/kinds/mod.rs`.
//!
//! Not here: the parts of each kind, which are in its folder.

/// Passes the table of kinds to a macro: variant, number, noun, number of turns, folder below
/// `objects/kinds/`, and, if the kind supports transactions, the type of its overlay in that
/// folder.
macro_rules! for_each_kind {
    ($consumer:ident) => {
        $consumer! {
            /// One value.
            Value = 1, "value", 1, value, NewValue;
            /// Keys to values, in the order of insertion.
            Map = 2, "map", 1, map, Writes;
            /// First in, first out.
            Queue = 3, "queue", 2, queue, Operations;
            /// A lock that says when its holder died.
            Mutex = 4, "mutex", 1, mutex;
            /// A mutex that its holder may take again.
            RecursiveMutex = 5, "recursive mutex", 1, recursive_mutex;
        }
    };
}
pub(crate) use for_each_kind;

macro_rules! define_kind {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $noun:literal, $turns:literal,
        $folder:ident $(, $overlay:ident)?;)*) => {
        /// The kind of an object.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Kind {
            $($(#[$doc])* $variant = $number,)*
        }

        impl Kind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns the kind with this number.
            #[inline]
            pub fn of(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Returns the noun for such an object, in lower case.
            pub const fn noun(self) -> &'static str {
                match self {
                    $(Self::$variant => $noun,)*
                }
            }

            /// Returns how many turns guard such an object: one, or two if it has two ends.
            #[inline]
            pub const fn turns(self) -> u32 {
                match self {
                    $(Self::$variant => $turns,)*
                }
            }
        }
    };
}
for_each_kind!(define_kind);

impl Kind {
    /// The noun with its article, as messages have it.
    pub fn one(self) -> String {
        let noun = self.noun();
        let article = if noun.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
        format!("{article} {noun}")
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.noun())
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn a_number_is_that_of_one_kind() {
        for number in 0..=u8::MAX {
            let of_number = |kind: &&Kind| **kind as u8 == number;
            let kinds: Vec<_> = Kind::ALL.iter().filter(of_number).collect();
            assert!(kinds.len() <= 1, "{kinds:?} have the number {number}");
            assert_eq!(Kind::of(number), kinds.first().map(|kind| **kind));
        }
    }
}
