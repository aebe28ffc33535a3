//! Which route an access belongs to.

use crate::bus::claim::{Base, Claim, RouteId, Standing};
use crate::error::{Error, ErrorCode, Result};
use crate::kvm::exit::Exit;
use crate::limits::MAX_ROUTES;

/// Where a route stands in the bus, until its table is replaced; nothing outlives that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(pub usize);

/// A claim with its owner, in the order of the routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub id: RouteId,
    pub claim: Claim,
    pub standing: Standing,
}

/// Part of a claim, or all of it.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u64,
    end: u64,
    /// Where the whole claim begins; offsets count from there.
    origin: u64,
    row: usize,
}

/// All claims, found by binary search.
#[derive(Debug, Default)]
pub(crate) struct Table {
    ports: Vec<Span>,
    gpas: Vec<Span>,
}

impl Table {
    /// Checks the claims against each other. Where one of the caller's meets one that yields, it
    /// has the accesses.
    ///
    /// # Errors
    /// `InvalidOption`, naming both routes, or `Limit`.
    pub fn new(rows: &[Row]) -> Result<Self> {
        let count = rows.iter().filter(|row| row.standing.is_callers()).count();
        if count > MAX_ROUTES {
            return Err(Error::new(
                ErrorCode::Limit,
                format!("routes: at most {MAX_ROUTES}, got {count}"),
            ));
        }
        let is_port = |row: &Row| matches!(row.claim.base, Base::Port(_));
        Ok(Self {
            ports: spans(rows, is_port)?,
            gpas: spans(rows, |row| !is_port(row))?,
        })
    }

    /// The route that claims an exit, and the offset in it. An access belongs to the route of its
    /// first byte.
    pub fn find(&self, exit: &Exit) -> Option<(Place, u32)> {
        match exit {
            Exit::PioOut(port) | Exit::PioIn(port) => find(&self.ports, u64::from(port.port)),
            Exit::MmioWrite(mmio) | Exit::MmioRead(mmio) => find(&self.gpas, mmio.gpa),
            _ => None,
        }
    }
}

fn find(spans: &[Span], address: u64) -> Option<(Place, u32)> {
    let after = spans.partition_point(|span| span.start <= address);
    let span = spans.get(after.checked_sub(1)?)?;
    (address < span.end).then_some((Place(span.row), (address - span.origin) as u32))
}

fn spans(rows: &[Row], belongs: impl Fn(&Row) -> bool) -> Result<Vec<Span>> {
    let (mut firm, mut yielding) = (Vec::new(), Vec::new());
    for (index, row) in rows.iter().enumerate().filter(|(_, row)| belongs(row)) {
        let start = row.claim.start();
        let span = Span {
            start,
            end: row.claim.end(),
            origin: start,
            row: index,
        };
        match row.standing {
            Standing::Yields => yielding.push(span),
            _ => firm.push(span),
        }
    }
    firm.sort_by_key(|span| span.start);
    check_overlaps(&firm, rows)?;
    let mut all = firm.clone();
    for span in yielding {
        leave_over(span, &firm, &mut all);
    }
    all.sort_by_key(|span| span.start);
    Ok(all)
}

/// What the sorted claims of others leave of one that yields.
fn leave_over(mut span: Span, firm: &[Span], into: &mut Vec<Span>) {
    for other in firm {
        if other.end <= span.start || other.start >= span.end {
            continue;
        }
        if span.start < other.start {
            into.push(Span {
                end: other.start,
                ..span
            });
        }
        span.start = other.end.min(span.end);
    }
    if span.start < span.end {
        into.push(span);
    }
}

fn check_overlaps(sorted: &[Span], rows: &[Row]) -> Result<()> {
    for pair in sorted.windows(2) {
        let [low, high] = pair else { continue };
        if low.end <= high.start {
            continue;
        }
        let name = |index: usize| {
            rows.get(index).map_or_else(String::new, |row| {
                format!("{} ({})", row.standing.name(row.id), row.claim.describe())
            })
        };
        let (first, second) = (low.row.min(high.row), low.row.max(high.row));
        return Err(Error::new(
            ErrorCode::InvalidOption,
            format!("{} overlaps {}", name(second), name(first)),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
