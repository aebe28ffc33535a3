//! The way to a path, component by component in the program's name space.
//!
//! `..` goes back to where the walk came from, never to what the host has there. Links are read and
//! walked like the rest, absolute ones from the program's root.

use super::ground::Ground;
use super::own::Own;
use super::place::{Descriptors, Place, Step, join};
use crate::errno::Errno;
use crate::limits::{DEPTH, LINKS, NAME_BYTES, PATH_BYTES};
use crate::status::Kind;

/// What becomes of a link at the path's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// It is followed.
    Follow,
    /// It is what is meant, unless a slash follows.
    Stay,
    /// It is followed, but not to a name that a slash follows.
    Create,
    /// The name is what is meant, whatever it leads to and whether a slash follows.
    Name,
}

/// How the path ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a name.
    Name,
    /// With `.`, or there is nothing but slashes.
    Dot,
    /// With `..`.
    DotDot,
}

/// Where a path leads.
#[derive(Clone, Debug)]
pub struct Found {
    /// Without links, `.` and `..`.
    pub path: Vec<u8>,
    /// The directory that it is in.
    pub parent: Step,
    /// Its name there; empty if the path ends with none.
    pub name: Vec<u8>,
    /// What is there, if anything is.
    pub step: Option<Step>,
    pub end: End,
    /// The path ends with a slash: nothing but a directory is meant.
    pub wants_directory: bool,
}

impl Found {
    /// What is there.
    pub fn there(&self) -> Result<&Step, Errno> {
        self.step.as_ref().ok_or(Errno::ENOENT)
    }
}

struct Walk<'a> {
    ground: &'a Ground,
    descriptors: &'a dyn Descriptors,
    root: Step,
    /// Directories from the root's child on, each with the length of the path before it. Several
    /// at once are one of them.
    stack: Vec<(Step, usize)>,
    path: Vec<u8>,
    /// Components to come, the next one last.
    rest: Vec<Vec<u8>>,
    links: usize,
}

/// Walks from a canonical path.
///
/// # Errors
/// `ENOENT` if a directory on the way is not there, or the path is empty; `ENOTDIR`, `ELOOP`,
/// `ENAMETOOLONG`, `EACCES`.
pub fn walk(
    ground: &Ground,
    descriptors: &dyn Descriptors,
    from: &[u8],
    path: &[u8],
    last: Last,
) -> Result<Found, Errno> {
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    if path.len() >= PATH_BYTES {
        return Err(Errno::ENAMETOOLONG);
    }
    let mut walk = Walk {
        ground,
        descriptors,
        root: ground.root()?,
        stack: Vec::new(),
        path: b"/".to_vec(),
        rest: Vec::new(),
        links: 0,
    };
    walk.queue(path);
    if path.first() != Some(&b'/') {
        walk.queue(from);
    }
    walk.run(path.last() == Some(&b'/'), last)
}

impl Walk<'_> {
    fn queue(&mut self, path: &[u8]) {
        let names = path.split(|byte| *byte == b'/');
        let names = names.filter(|name| !name.is_empty());
        self.rest.extend(names.rev().map(<[u8]>::to_vec));
    }

    fn here(&self) -> &Step {
        self.stack.last().map_or(&self.root, |(step, _)| step)
    }

    /// Back to where the walk came from. Where it came there at once, it goes the last steps again.
    fn back(&mut self) -> Result<(), Errno> {
        let Some((_, length)) = self.stack.pop() else {
            return Ok(());
        };
        let gone = self.path.split_off(length);
        let mut names = gone
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty());
        names.next_back();
        for name in names {
            let path = join(&self.path, name);
            let step = self
                .ground
                .child(self.here(), name, &path, self.descriptors)?;
            if self.ground.kind(&step.place)? != Kind::Directory {
                return Err(Errno::ENOTDIR);
            }
            self.push(step, path)?;
        }
        Ok(())
    }

    fn push(&mut self, step: Step, path: Vec<u8>) -> Result<(), Errno> {
        if self.stack.len() >= DEPTH {
            return Err(Errno::ENAMETOOLONG);
        }
        self.stack.push((step, self.path.len()));
        self.path = path;
        Ok(())
    }

    /// Goes to the last directory at once, if all on the way is the host's, with no mount.
    fn jump(&mut self) -> Result<(), Errno> {
        let Some((_, directories)) = self.rest.split_first() else {
            return Ok(());
        };
        let is_plain = |name: &Vec<u8>| name != b"." && name != b"..";
        let Place::Host(place) = &self.here().place else {
            return Ok(());
        };
        if directories.len() < 2 || !self.rest.iter().all(is_plain) {
            return Ok(());
        }
        let mut path = self.path.clone();
        let mut names = Vec::with_capacity(directories.len());
        for name in directories.iter().rev() {
            path = join(&path, name);
            names.push(name.as_slice());
            if self.ground.is_mount(&path) {
                return Ok(());
            }
        }
        if let Some(found) = place.descend(&names) {
            let step = Step {
                place: Place::Host(found),
                ..self.here().clone()
            };
            self.rest.truncate(1);
            self.push(step, path)?;
        }
        Ok(())
    }

    /// Whether names may be looked up where the walk is.
    fn enter(&self) -> Result<(), Errno> {
        let here = self.here();
        if self.ground.kind(&here.place)? != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        match &here.place {
            Place::Node(id) if self.ground.nodes.get(*id)?.mode & 0o100 == 0 => Err(Errno::EACCES),
            _ => Ok(()),
        }
    }

    fn run(mut self, mut wants_directory: bool, last: Last) -> Result<Found, Errno> {
        let mut end = End::Dot;
        loop {
            self.jump()?;
            let Some(name) = self.rest.pop() else {
                break;
            };
            self.enter()?;
            let is_last = self.rest.is_empty();
            end = match name.as_slice() {
                b"." => End::Dot,
                b".." => End::DotDot,
                _ => End::Name,
            };
            match end {
                End::Dot => continue,
                End::DotDot => {
                    self.back()?;
                    continue;
                }
                End::Name if name.len() > NAME_BYTES => return Err(Errno::ENAMETOOLONG),
                End::Name => {}
            }
            let path = join(&self.path, &name);
            let here = self.here();
            let step = match self.ground.child(here, &name, &path, self.descriptors) {
                Err(Errno::ENOENT) if is_last => {
                    return Ok(Found {
                        parent: here.clone(),
                        path,
                        name,
                        step: None,
                        end,
                        wants_directory,
                    });
                }
                step => step?,
            };
            let is_meant = match last {
                Last::Follow => false,
                Last::Stay => !wants_directory,
                Last::Create => wants_directory,
                Last::Name => true,
            };
            let follows = !is_last || !is_meant;
            if follows && self.ground.kind(&step.place)? == Kind::Link {
                if is_last && matches!(step.place, Place::Own(Own::Descriptor(_))) {
                    // It leads to what is open, which need not have a path.
                    return Ok(self.found(step, path, name, wants_directory));
                }
                wants_directory |= self.follow(&step)? && is_last;
                continue;
            }
            self.push(step, path)?;
        }
        let name = match end {
            End::Name => self.path.rsplit(|byte| *byte == b'/').next(),
            End::Dot | End::DotDot => None,
        };
        let name = name.unwrap_or_default().to_vec();
        let path = self.path.clone();
        let step = match self.stack.pop() {
            Some((step, _)) => step,
            None => self.root.clone(),
        };
        let is_checked = wants_directory && matches!(last, Last::Follow | Last::Stay);
        if is_checked && self.ground.kind(&step.place)? != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        let mut found = self.found(step, path, name, wants_directory);
        found.end = end;
        Ok(found)
    }

    fn found(&self, step: Step, path: Vec<u8>, name: Vec<u8>, wants_directory: bool) -> Found {
        Found {
            path,
            parent: self.here().clone(),
            name,
            step: Some(step),
            end: End::Name,
            wants_directory,
        }
    }

    /// Puts a link's text before what is left; whether it ends with a slash.
    fn follow(&mut self, step: &Step) -> Result<bool, Errno> {
        self.links += 1;
        if self.links > LINKS {
            return Err(Errno::ELOOP);
        }
        let target = self.ground.read_link(&step.place, self.descriptors)?;
        if target.is_empty() {
            return Err(Errno::ENOENT);
        }
        if target.len() >= PATH_BYTES {
            return Err(Errno::ENAMETOOLONG);
        }
        if target.first() == Some(&b'/') {
            self.stack.clear();
            self.path = b"/".to_vec();
        }
        self.queue(&target);
        Ok(target.last() == Some(&b'/'))
    }
}
