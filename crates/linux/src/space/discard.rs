//! Zeros in the place of what pages held.

use super::areas::Area;
use super::tables::Entry;
use super::whole::Space;
use crate::errno::Errno;

impl Space {
    /// Makes zeros of a range, and gives its memory back; what is mapped, and how, stays.
    ///
    /// # Errors
    /// As [`map`](Self::map); `ENOMEM` if a page of it is not mapped.
    pub fn discard(&mut self, start: u64, bytes: u64) -> Result<(), Errno> {
        let (page, count) = self.pages(start, bytes)?;
        if self.areas.mapped(page, count).is_none() {
            return Err(Errno::ENOMEM);
        }
        self.check_split(page, count)?;
        for (first, area) in self.areas.cut(page, count) {
            if area.entry() != Entry::ABSENT {
                self.tables.set(first, area.pages, Entry::ABSENT, true);
            }
            if let Some(frame) = area.frame {
                self.leaving.push((frame, area.pages));
            }
            let area = Area {
                frame: None,
                ..area
            };
            self.areas.insert(first, area);
        }
        Ok(())
    }
}
