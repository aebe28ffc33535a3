//! What there is to walk through: nodes in memory, the host's directories, the engine's own files.

use std::collections::BTreeMap;

use super::nodes::{Body, Nodes};
use super::own::{Own, What};
use super::place::{Descriptors, Entry, Place, Step, join};
use crate::errno::Errno;
use crate::host::HostRoot;
use crate::limits::{ENTRIES, PAGE};
use crate::status::{Kind, Status};

/// The file systems' numbers (`st_dev`) are one for each mount, from here on.
const FIRST_DEVICE: u64 = 0x100;

/// What something is a part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    Node(u32),
    Host(HostRoot),
    Own(Own),
}

impl Root {
    /// What the mount table calls it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Node(_) => "tmpfs",
            Self::Host(_) => "host",
            Self::Own(_) => "proc",
        }
    }
}

/// Something that was put at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    pub root: Root,
    pub read_only: bool,
    /// Its place in the order of mounts.
    pub number: u32,
}

/// Nodes and mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ground {
    pub nodes: Nodes,
    /// By canonical path.
    mounts: BTreeMap<Vec<u8>, Mounted>,
    /// The program's image.
    pub program: Vec<u8>,
    /// Where relative paths begin.
    pub directory: Vec<u8>,
}

impl Ground {
    /// Nothing yet.
    pub fn new(program: Vec<u8>) -> Self {
        Self {
            nodes: Nodes::default(),
            mounts: BTreeMap::new(),
            program,
            directory: b"/".to_vec(),
        }
    }

    /// Puts something at a canonical path.
    pub fn mount(&mut self, path: Vec<u8>, root: Root, read_only: bool) {
        let number = u32::try_from(self.mounts.len()).unwrap_or(u32::MAX);
        let mounted = Mounted {
            root,
            read_only,
            number,
        };
        self.mounts.insert(path, mounted);
    }

    /// All mounts, with their paths.
    pub fn mounts(&self) -> impl Iterator<Item = (&[u8], &Mounted)> {
        let all = self.mounts.iter();
        all.map(|(path, mounted)| (path.as_slice(), mounted))
    }

    /// Whether something is mounted at a path.
    pub fn is_mount(&self, path: &[u8]) -> bool {
        self.mounts.contains_key(path)
    }

    /// Whether something is mounted at a path or below it.
    pub fn has_mount(&self, path: &[u8]) -> bool {
        self.mounts.contains_key(path) || self.below(path).next().is_some()
    }

    /// The rest of the paths of what is mounted below a path.
    fn below<'a>(&'a self, path: &[u8]) -> impl Iterator<Item = &'a [u8]> {
        let mut prefix = path.to_vec();
        if prefix.last() != Some(&b'/') {
            prefix.push(b'/');
        }
        let from = self.mounts.range(prefix.clone()..);
        let from = from.map_while(move |(path, _)| path.strip_prefix(prefix.as_slice()));
        from.filter(|rest| !rest.is_empty())
    }

    fn step_of(&self, mounted: &Mounted) -> Step {
        let place = match &mounted.root {
            Root::Node(id) => Place::Node(*id),
            Root::Host(root) => Place::Host(root.place()),
            Root::Own(own) => Place::Own(*own),
        };
        Step {
            place,
            mount: mounted.number,
            read_only: mounted.read_only,
        }
    }

    /// A node that is open, as a part of its mount.
    pub fn step_to(&self, id: u32, mount: u32) -> Step {
        let read_only = self
            .mounts
            .values()
            .any(|mounted| mounted.number == mount && mounted.read_only);
        Step {
            place: Place::Node(id),
            mount,
            read_only,
        }
    }

    /// Where every path begins.
    pub fn root(&self) -> Result<Step, Errno> {
        let root = self.mounts.get(b"/".as_slice()).ok_or(Errno::ENOENT)?;
        Ok(self.step_of(root))
    }

    /// What has a name in a directory; `path` is that of the child.
    pub fn child(
        &self,
        directory: &Step,
        name: &[u8],
        path: &[u8],
        descriptors: &dyn Descriptors,
    ) -> Result<Step, Errno> {
        if let Some(mounted) = self.mounts.get(path) {
            return Ok(self.step_of(mounted));
        }
        let found = match &directory.place {
            Place::Node(id) => self.nodes.lookup(*id, name).map(Place::Node),
            Place::Host(place) => place.lookup(name).map(Place::Host),
            Place::Own(own) => own
                .child(name)
                .filter(|child| match child {
                    Own::Descriptor(number) => descriptors.link(*number).is_some(),
                    _ => true,
                })
                .map(Place::Own)
                .ok_or(Errno::ENOENT),
        };
        let place = match found {
            Err(Errno::ENOENT) if self.below(path).next().is_some() => Place::Own(Own::Hollow),
            found => found?,
        };
        Ok(Step {
            place,
            ..directory.clone()
        })
    }

    /// What kind of file it is.
    pub fn kind(&self, place: &Place) -> Result<Kind, Errno> {
        Ok(match place {
            Place::Node(id) => match &self.nodes.get(*id)?.body {
                Body::File(_) => Kind::File,
                Body::Directory(_) => Kind::Directory,
                Body::Link(_) => Kind::Link,
            },
            Place::Host(place) => place.kind(),
            Place::Own(own) => match own.what() {
                What::Directory => Kind::Directory,
                What::Link(_) | What::Program | What::Current | What::Descriptor(_) => Kind::Link,
                What::Device(_) => Kind::Device,
                What::Text(_) => Kind::File,
            },
        })
    }

    /// The text of a link.
    pub fn read_link(
        &self,
        place: &Place,
        descriptors: &dyn Descriptors,
    ) -> Result<Vec<u8>, Errno> {
        match place {
            Place::Node(id) => match &self.nodes.get(*id)?.body {
                Body::Link(target) => Ok(target.clone()),
                _ => Err(Errno::EINVAL),
            },
            Place::Host(place) => match place.kind() {
                Kind::Link => place.read_link(),
                _ => Err(Errno::EINVAL),
            },
            Place::Own(own) => match own.what() {
                What::Link(target) => Ok(target.as_bytes().to_vec()),
                What::Program => Ok(self.program.clone()),
                What::Current => Ok(self.directory.clone()),
                What::Descriptor(number) => descriptors.link(number).ok_or(Errno::ENOENT),
                _ => Err(Errno::EINVAL),
            },
        }
    }

    /// What `stat` tells of it.
    pub fn status(&self, step: &Step) -> Result<Status, Errno> {
        let device = FIRST_DEVICE + u64::from(step.mount);
        match &step.place {
            Place::Node(id) => self.node_status(*id, device),
            Place::Host(place) => place.status(),
            Place::Own(own) => Ok(Status {
                kind: self.kind(&step.place)?,
                device,
                inode: own.inode(),
                mode: own.mode(),
                links: 1,
                size: 0,
                blocks: 0,
                accessed: (0, 0),
                modified: (0, 0),
                changed: (0, 0),
            }),
        }
    }

    fn node_status(&self, id: u32, device: u64) -> Result<Status, Errno> {
        let node = self.nodes.get(id)?;
        let (kind, size, pages) = match &node.body {
            Body::File(file) => (Kind::File, file.size(), file.pages() as u64),
            Body::Directory(_) => (Kind::Directory, PAGE, 1),
            Body::Link(target) => (Kind::Link, target.len() as u64, 0),
        };
        Ok(Status {
            kind,
            device,
            inode: u64::from(id) + 1,
            mode: node.mode,
            links: node.links(),
            size,
            blocks: pages * (PAGE / 512),
            accessed: node.accessed,
            modified: node.modified,
            changed: node.changed,
        })
    }

    /// What `stat` tells of an open file in memory.
    pub fn status_of(&self, id: u32, mount: u32) -> Result<Status, Errno> {
        self.node_status(id, FIRST_DEVICE + u64::from(mount))
    }

    /// All names in a directory but `.` and `..`; `path` is its own.
    pub fn list(
        &self,
        directory: &Step,
        path: &[u8],
        descriptors: &dyn Descriptors,
    ) -> Result<Vec<Entry>, Errno> {
        let mut entries = match &directory.place {
            Place::Node(id) => self.list_nodes(*id)?,
            Place::Host(place) => place
                .list(ENTRIES)?
                .into_iter()
                .map(|entry| Entry {
                    name: entry.name,
                    inode: entry.inode,
                    kind: entry.kind,
                })
                .collect(),
            Place::Own(own) => self.list_own(*own, descriptors),
        };
        self.add_mounts(&mut entries, path);
        Ok(entries)
    }

    fn list_nodes(&self, directory: u32) -> Result<Vec<Entry>, Errno> {
        self.nodes
            .entries(directory)?
            .map(|(name, id)| {
                Ok(Entry {
                    name: name.to_vec(),
                    inode: u64::from(id) + 1,
                    kind: self.kind(&Place::Node(id))?,
                })
            })
            .collect()
    }

    fn list_own(&self, own: Own, descriptors: &dyn Descriptors) -> Vec<Entry> {
        let numbers = match own.has_descriptors() {
            true => descriptors.numbers(),
            false => Vec::new(),
        };
        let listed = own.children().map(|(name, own)| (name.to_owned(), own));
        let numbered = numbers
            .into_iter()
            .map(|number| (number.to_string(), Own::Descriptor(number)));
        let all = listed.chain(numbered);
        all.map(|(name, own)| Entry {
            name: name.into_bytes(),
            inode: own.inode(),
            kind: self.kind(&Place::Own(own)).unwrap_or(Kind::File),
        })
        .collect()
    }

    /// What is mounted in a directory shows there, once.
    fn add_mounts(&self, entries: &mut Vec<Entry>, path: &[u8]) {
        let mut names: Vec<&[u8]> = self
            .below(path)
            .filter_map(|rest| rest.split(|byte| *byte == b'/').next())
            .collect();
        names.dedup();
        for name in names {
            let child = join(path, name);
            let step = match self.mounts.get(&child) {
                Some(mounted) => self.step_of(mounted),
                None if entries.iter().any(|entry| entry.name == name) => continue,
                None => Step {
                    place: Place::Own(Own::Hollow),
                    mount: 0,
                    read_only: true,
                },
            };
            let Ok(status) = self.status(&step) else {
                continue;
            };
            entries.retain(|entry| entry.name != name);
            entries.push(Entry {
                name: name.to_vec(),
                inode: status.inode,
                kind: status.kind,
            });
        }
    }
}
