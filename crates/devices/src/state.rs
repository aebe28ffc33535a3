//! The saved states of devices, in plain values: a device writes its fields one after the other,
//! and reads them back from bytes that may come from anywhere.

use std::borrow::Cow;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// The saved state of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct State {
    /// What kind of device saved it; empty of one that has no state.
    pub kind: Cow<'static, str>,
    /// Its fields, in an encoding of its own.
    pub bytes: Vec<u8>,
}

impl State {
    /// The state with these fields.
    pub(crate) fn of<T: Saved>(fields: &T) -> Self {
        let mut bytes = Vec::new();
        fields.put(&mut bytes);
        Self {
            kind: Cow::Borrowed(T::KIND),
            bytes,
        }
    }

    /// The fields, if this is what a device of their kind saves.
    pub(crate) fn fields<T: Saved>(&self) -> Option<T> {
        let mut rest = self.bytes.as_slice();
        let fields = (self.kind == T::KIND).then(|| T::take(&mut rest))?;
        fields.filter(|_| rest.is_empty())
    }
}

/// All fields of one kind of device.
pub(crate) trait Saved: Field {
    /// Its name, in files too.
    const KIND: &'static str;
}

/// What a state consists of.
pub(crate) trait Field: Sized {
    fn put(&self, into: &mut Vec<u8>);

    /// Takes itself off the front; `None` for what is none. It allocates no more than there is.
    fn take(from: &mut &[u8]) -> Option<Self>;
}

impl Field for u8 {
    fn put(&self, into: &mut Vec<u8>) {
        into.push(*self);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (first, rest) = from.split_first()?;
        *from = rest;
        Some(*first)
    }
}

impl Field for bool {
    fn put(&self, into: &mut Vec<u8>) {
        into.push(u8::from(*self));
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let byte = u8::take(from)?;
        (byte <= 1).then_some(byte == 1)
    }
}

impl<const N: usize> Field for [u8; N] {
    fn put(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(self);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (first, rest) = from.split_first_chunk()?;
        *from = rest;
        Some(*first)
    }
}

impl<T: Field> Field for Option<T> {
    fn put(&self, into: &mut Vec<u8>) {
        self.is_some().put(into);
        if let Some(value) = self {
            value.put(into);
        }
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        if bool::take(from)? {
            T::take(from).map(Some)
        } else {
            Some(None)
        }
    }
}

/// Numbers are little-endian.
macro_rules! numbers {
    ($($number:ty),+) => {
        $(impl Field for $number {
            fn put(&self, into: &mut Vec<u8>) {
                self.to_le_bytes().put(into);
            }

            fn take(from: &mut &[u8]) -> Option<Self> {
                Field::take(from).map(Self::from_le_bytes)
            }
        })+
    };
}
numbers!(u16, u32, u64);

/// Its length comes first.
impl<T: Field> Field for Vec<T> {
    fn put(&self, into: &mut Vec<u8>) {
        (self.len() as u32).put(into);
        self.iter().for_each(|item| item.put(into));
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let length = u32::take(from)?;
        (0..length).map(|_| T::take(from)).collect()
    }
}

/// As a vector.
impl Field for VecDeque<u8> {
    fn put(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&(self.len() as u32).to_le_bytes());
        into.extend(self);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Vec::take(from).map(Self::from)
    }
}

/// Declares the fields of a device and how they are saved: under a name if they are a whole state.
macro_rules! saved {
    (
        $(#[$about:meta])*
        $name:ident $(= $kind:literal)? {
            $($(#[$field_about:meta])* $field:ident: $type:ty,)+
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(crate) struct $name {
            $($(#[$field_about])* pub $field: $type,)+
        }

        impl $crate::state::Field for $name {
            fn put(&self, into: &mut Vec<u8>) {
                $($crate::state::Field::put(&self.$field, into);)+
            }

            fn take(from: &mut &[u8]) -> Option<Self> {
                Some(Self { $($field: $crate::state::Field::take(from)?,)+ })
            }
        }

        $(impl $crate::state::Saved for $name {
            const KIND: &'static str = $kind;
        })?
    };
}
pub(crate) use saved;
