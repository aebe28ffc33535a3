//! Structures as the kernel lays them out, field by field at the offsets of its headers.

/// A structure's bytes; what is not named is zero. Each value must have its field's type.
macro_rules! record {
    ($type:ty { $($($field:ident).+: $value:expr),* $(,)? }) => {{
        let mut bytes = [0_u8; size_of::<$type>()];
        $(
            let value = $value;
            let _typed = |record: &mut $type| record.$($field).+ = value;
            let value = value.to_le_bytes();
            let at = std::mem::offset_of!($type, $($field).+);
            bytes[at..at + value.len()].copy_from_slice(&value);
        )*
        bytes
    }};
}
pub(crate) use record;
