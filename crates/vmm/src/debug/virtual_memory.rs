//! Memory by linear address, as a vCPU's page tables have it.

use boot::paging::{MissReason, PagingState, Walk, walk};

use crate::error::{Error, ErrorCode, Result};
use crate::kvm::memory::GuestMemory;

/// Guest memory by linear address. Rights of pages do not count, and no accessed or dirty flag is
/// set.
#[derive(Debug)]
pub struct VirtualMemory<'a> {
    state: PagingState,
    memory: &'a GuestMemory,
}

/// Bytes that lie side by side both ways.
#[derive(Debug)]
struct Piece {
    linear: u64,
    gpa: u64,
    bytes: u64,
}

impl<'a> VirtualMemory<'a> {
    /// That of a vCPU with these registers.
    pub const fn new(state: PagingState, memory: &'a GuestMemory) -> Self {
        Self { state, memory }
    }

    /// How an address is translated.
    pub fn walk(&self, linear: u64) -> Walk {
        walk(&self.state, linear, |gpa, bytes| {
            self.memory.read(gpa, bytes).is_ok()
        })
    }

    /// Copies bytes out.
    ///
    /// # Errors
    /// `GuestMemory` where no page is mapped, or a page is mapped outside every slot.
    pub fn read(&self, linear: u64, into: &mut [u8]) -> Result<()> {
        let mut rest = into;
        for piece in self.pieces(linear, rest.len() as u64)? {
            let (part, after) = rest.split_at_mut(piece.bytes as usize);
            self.memory.read(piece.gpa, part)?;
            rest = after;
        }
        Ok(())
    }

    /// Copies bytes in, and into read-only slots too.
    ///
    /// # Errors
    /// As of [`read`](Self::read), and then nothing is written.
    pub fn write(&self, linear: u64, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        for piece in self.pieces(linear, rest.len() as u64)? {
            let (part, after) = rest.split_at(piece.bytes as usize);
            self.memory.write(piece.gpa, part)?;
            rest = after;
        }
        Ok(())
    }

    /// Where bytes lie; all of them have memory.
    fn pieces(&self, linear: u64, bytes: u64) -> Result<Vec<Piece>> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut done = 0;
        while done < bytes {
            let Some(at) = linear.checked_add(done) else {
                let what = format!("no linear address follows {:#x}", u64::MAX);
                return Err(Error::new(ErrorCode::GuestMemory, what));
            };
            let walk = self.walk(at);
            let page = walk.result.map_err(|_| hole(at, &walk))?;
            let in_page = page.page_bytes - (page.gpa & (page.page_bytes - 1));
            let size = in_page.min(bytes - done);
            done += size;
            match pieces.last_mut() {
                Some(last) if last.gpa + last.bytes == page.gpa => last.bytes += size,
                _ => pieces.push(Piece {
                    linear: at,
                    gpa: page.gpa,
                    bytes: size,
                }),
            }
        }
        for piece in &pieces {
            self.check(piece)?;
        }
        Ok(pieces)
    }

    fn check(&self, piece: &Piece) -> Result<()> {
        let checked = self.memory.check(piece.gpa, piece.bytes);
        checked.map_err(|error| Error {
            message: format!("linear address {:#x}: {}", piece.linear, error.message),
            ..error
        })
    }
}

/// The error of an address without a page.
fn hole(linear: u64, walk: &Walk) -> Error {
    let Err(miss) = walk.result else {
        return Error::internal("a walk found a page where there is none");
    };
    let entry = walk.steps.last().map_or(0, |step| step.entry);
    let level = miss.level.map_or("", |level| level.name());
    let why = match miss.why {
        MissReason::NotPresent => format!("the {level} entry {entry:#x} is not present"),
        MissReason::Reserved => format!("the {level} entry {entry:#x} sets a reserved bit"),
        MissReason::NoGigabytePage => {
            format!("the {level} entry {entry:#x} is a page of 1 GiB, which this processor lacks")
        }
        MissReason::NoMemory => format!("the {level} lies outside guest memory"),
        MissReason::NonCanonical => "this form of paging has no such address".to_owned(),
    };
    let message = format!("linear address {linear:#x} has no page: {why}");
    Error::new(ErrorCode::GuestMemory, message)
}
