//! Values that users name.

/// Gives an enum without fields the list of its values and their names.
macro_rules! named {
    ($enum:ident { $($variant:ident = $name:literal),+ }) => {
        impl $enum {
            /// All of them, in the order in which they are shown.
            pub const ALL: [Self; [$(Self::$variant),+].len()] = [$(Self::$variant),+];

            /// The name as users write it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}
pub(crate) use named;
