//! A claimed port or MMIO access, cut into the pieces that a device is asked for.

use crate::bus::claim::RouteId;
use crate::bus::table::Place;
use crate::kvm::exit::Exit;

/// An access that a route claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub route: RouteId,
    /// Where the route stands.
    pub place: Place,
    /// Whether the guest writes.
    pub write: bool,
    /// Distance from the route's start.
    offset: u32,
    /// All bytes.
    pub bytes: usize,
    /// Bytes of one item; string instructions have several, all at the same port.
    pub item_bytes: usize,
    /// The low bits of the address, which decide how an odd MMIO fragment is cut.
    alignment: Option<u64>,
}

/// What a device is asked for at once: 1, 2, 4 or 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Where its bytes begin in the access's data.
    pub start: usize,
    /// Distance from the route's start.
    pub offset: u32,
    /// Bytes.
    pub size: u8,
}

impl Piece {
    /// Its bytes of the access's.
    pub fn of<'d>(&self, data: &'d [u8]) -> &'d [u8] {
        let end = self.start + usize::from(self.size);
        data.get(self.start..end).unwrap_or_default()
    }

    /// As [`of`](Self::of), to be filled.
    pub fn of_mut<'d>(&self, data: &'d mut [u8]) -> &'d mut [u8] {
        let end = self.start + usize::from(self.size);
        data.get_mut(self.start..end).unwrap_or_default()
    }
}

impl Access {
    /// The access of a port or MMIO exit; any other exit has no bytes.
    pub fn new(route: RouteId, place: Place, offset: u32, exit: &Exit) -> Self {
        let (bytes, item_bytes, alignment) = match exit {
            Exit::PioOut(port) | Exit::PioIn(port) => (port.bytes(), usize::from(port.size), None),
            Exit::MmioWrite(mmio) | Exit::MmioRead(mmio) => (
                usize::from(mmio.size),
                usize::from(mmio.size),
                Some(mmio.gpa),
            ),
            _ => (0, 1, None),
        };
        Self {
            route,
            place,
            write: !exit.is_read(),
            offset,
            bytes,
            item_bytes,
            alignment,
        }
    }

    /// Which byte-wide register each byte is for: an item covers neighbours, and all items of a
    /// string the same ones.
    pub fn registers(&self) -> impl Iterator<Item = u8> {
        let (first, bytes) = (self.offset as u8, self.item_bytes.max(1));
        (0..self.bytes).map(move |index| first.wrapping_add((index % bytes) as u8))
    }

    /// All pieces, in order.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> {
        (0..).map_while(|index| self.piece(index))
    }

    /// The piece with this index, `None` after the last.
    ///
    /// A port access has one per item. An MMIO access has one, or, where KVM cut it at a page
    /// border into 3, 5, 6 or 7 bytes, several of natural alignment.
    pub fn piece(&self, index: usize) -> Option<Piece> {
        let Some(gpa) = self.alignment.filter(|_| !self.bytes.is_power_of_two()) else {
            let start = index * self.item_bytes;
            let piece = Piece {
                start,
                offset: self.offset,
                size: self.item_bytes as u8,
            };
            return (start < self.bytes).then_some(piece);
        };
        let mut start = 0;
        for _ in 0..index {
            start += natural_size(gpa + start as u64, self.bytes.checked_sub(start)?);
        }
        let left = self.bytes.checked_sub(start).filter(|left| *left > 0)?;
        let size = natural_size(gpa + start as u64, left);
        Some(Piece {
            start,
            offset: self.offset.wrapping_add(start as u32),
            size: size as u8,
        })
    }
}

/// The largest power of two that the address is aligned to and that fits what is left, at most 8.
fn natural_size(gpa: u64, left: usize) -> usize {
    let fits = 1 << left.max(1).ilog2();
    let aligned = 1usize << gpa.trailing_zeros().min(3);
    aligned.min(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kvm::exit::{MmioAccess, PortAccess};

    fn pieces(access: Access) -> Vec<(usize, u32, u8)> {
        access
            .pieces()
            .map(|piece| (piece.start, piece.offset, piece.size))
            .collect()
    }

    fn mmio(gpa: u64, size: u8) -> Vec<(usize, u32, u8)> {
        pieces(Access::new(
            RouteId::new(0),
            Place(0),
            0x10,
            &Exit::MmioRead(MmioAccess { gpa, size }),
        ))
    }

    #[test]
    fn every_item_of_a_string_has_the_same_offset() {
        let port = PortAccess {
            port: 0x60,
            size: 2,
            count: 3,
            data_offset: 0,
        };
        assert_eq!(
            pieces(Access::new(
                RouteId::new(0),
                Place(0),
                4,
                &Exit::PioOut(port)
            )),
            [(0, 4, 2), (2, 4, 2), (4, 4, 2)]
        );
    }

    #[test]
    fn a_whole_mmio_access_is_one_piece_even_when_unaligned() {
        for size in [1, 2, 4, 8] {
            assert_eq!(mmio(0xffd, size), [(0, 0x10, size)]);
        }
    }

    #[test]
    fn odd_fragments_are_cut_by_alignment() {
        assert_eq!(mmio(0xffd, 3), [(0, 0x10, 1), (1, 0x11, 2)]);
        assert_eq!(mmio(0x1000, 5), [(0, 0x10, 4), (4, 0x14, 1)]);
        assert_eq!(mmio(0xffa, 6), [(0, 0x10, 2), (2, 0x12, 4)]);
        assert_eq!(mmio(0xff9, 7), [(0, 0x10, 1), (1, 0x11, 2), (3, 0x13, 4)]);
        assert_eq!(mmio(0x1000, 7), [(0, 0x10, 4), (4, 0x14, 2), (6, 0x16, 1)]);
    }
}
