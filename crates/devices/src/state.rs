//! The saved states of devices, in plain values: a device writes its fields one after the other,
//! and reads them back from bytes that may come from anywhere.

use std::borrow::Cow;

/// The saved state of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

/// What a state consists of, as bytes that may come back from anywhere.
///
/// # Examples
/// ```
/// use devices::Field;
///
/// let mut bytes = Vec::new();
/// (7u16, vec![1u8, 2]).put(&mut bytes);
/// let mut rest = bytes.as_slice();
/// assert_eq!(Field::take(&mut rest), Some((7u16, vec![1u8, 2])));
/// assert!(rest.is_empty());
/// ```
pub trait Field: Sized {
    /// Appends itself.
    fn put(&self, into: &mut Vec<u8>);

    /// Takes itself off the front; `None` for what is none. It allocates no more than there is.
    fn take(from: &mut &[u8]) -> Option<Self>;
}

/// Little-endian.
macro_rules! numbers {
    ($($number:ty),+) => {$(
        impl Field for $number {
            fn put(&self, into: &mut Vec<u8>) {
                into.extend_from_slice(&self.to_le_bytes());
            }

            fn take(from: &mut &[u8]) -> Option<Self> {
                let (first, rest) = from.split_first_chunk()?;
                *from = rest;
                Some(Self::from_le_bytes(*first))
            }
        }
    )+};
}

numbers!(u8, u16, u32, u64);

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

/// Its length comes first.
impl<T: Field> Field for Vec<T> {
    fn put(&self, into: &mut Vec<u8>) {
        (self.len() as u32).put(into);
        self.iter().for_each(|item| item.put(into));
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let length = u32::take(from)?;
        // Each takes a byte at least, so that no length makes more than there is.
        if length as usize > from.len() {
            return None;
        }
        (0..length).map(|_| T::take(from)).collect()
    }
}

impl<A: Field, B: Field> Field for (A, B) {
    fn put(&self, into: &mut Vec<u8>) {
        self.0.put(into);
        self.1.put(into);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some((A::take(from)?, B::take(from)?))
    }
}

impl Field for String {
    fn put(&self, into: &mut Vec<u8>) {
        (self.len() as u32).put(into);
        into.extend_from_slice(self.as_bytes());
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Self::from_utf8(Vec::take(from)?).ok()
    }
}

impl Field for State {
    fn put(&self, into: &mut Vec<u8>) {
        self.kind.clone().into_owned().put(into);
        self.bytes.put(into);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            kind: Cow::Owned(String::take(from)?),
            bytes: Vec::take(from)?,
        })
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
