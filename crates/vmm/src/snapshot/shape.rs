//! What a machine must have in common with a snapshot that is put back on it.

use boot::{MemorySlot, Screen};
use serde::{Deserialize, Serialize};

use crate::config::MachineConfig;
use crate::error::{Error, ErrorCode, Result};

/// What is fixed when a machine is made, but for its routes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Shape {
    /// Slot 0, the further ones as configured, and that of a screen.
    pub slots: Vec<MemorySlot>,
    pub vcpus: u32,
    pub irqchip: bool,
    pub pc: bool,
    pub serial: bool,
    pub screen: Option<Screen>,
    pub network: Vec<[u8; 6]>,
    pub ports: Option<Vec<String>>,
    /// Whether the trap table is there.
    pub faults: bool,
}

impl Shape {
    /// Of a machine with this configuration, whose slots these are.
    pub fn of(config: &MachineConfig<'_>, slots: Vec<MemorySlot>, faults: bool) -> Self {
        Self {
            slots,
            vcpus: config.vcpus,
            irqchip: config.irqchip,
            pc: config.pc,
            serial: config.serial,
            screen: config.screen,
            network: config.network.clone(),
            ports: config.ports.clone(),
            faults,
        }
    }

    /// The slots as configured, without the first.
    pub fn further_slots(&self) -> &[MemorySlot] {
        let further = self.slots.get(1..).unwrap_or_default();
        match (self.screen.and_then(Screen::slot), further) {
            (Some(_), [slots @ .., _]) => slots,
            _ => further,
        }
    }

    /// Refuses other memory than this, a snapshot's.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_memory(&self, other: &Self) -> Result<()> {
        self.check(&Self {
            slots: other.slots.clone(),
            ..self.clone()
        })
    }

    /// Refuses a machine of another shape than this, a snapshot's.
    ///
    /// # Errors
    /// `Snapshot`, naming the first difference with both values.
    pub fn check(&self, machine: &Self) -> Result<()> {
        let parts = |shape: &Self| {
            let (main, others) = shape.slots.split_first().unzip();
            [
                ("screen", describe_screen(shape.screen)),
                (
                    "memoryBytes",
                    main.map_or(0, |slot: &MemorySlot| slot.bytes).to_string(),
                ),
                ("slots", describe(others.unwrap_or_default())),
                ("vcpus", shape.vcpus.to_string()),
                ("irqchip", shape.irqchip.to_string()),
                ("pc", shape.pc.to_string()),
                ("serial", shape.serial.to_string()),
                ("network", describe_cards(&shape.network)),
                (
                    "ports",
                    shape
                        .ports
                        .as_ref()
                        .map_or("none".into(), |names| format!("{names:?}")),
                ),
                ("faults", describe_faults(shape.faults)),
            ]
        };
        if self == machine {
            return Ok(());
        }
        for ((name, ours), (_, theirs)) in parts(self).into_iter().zip(parts(machine)) {
            if ours != theirs {
                return Err(Error::new(
                    ErrorCode::Snapshot,
                    format!("{name} must be {ours} as in the snapshot, got {theirs}"),
                ));
            }
        }
        Ok(())
    }
}

fn describe_faults(faults: bool) -> String {
    let way = if faults { "report" } else { "off" };
    format!("'{way}'")
}

fn describe_screen(screen: Option<Screen>) -> String {
    match screen {
        None => "none".into(),
        Some(Screen::Text) => "'text'".into(),
        Some(Screen::Pixels { width, height }) => format!("{width} x {height}"),
    }
}

fn describe(slots: &[MemorySlot]) -> String {
    let one = |slot: &MemorySlot| {
        let kind = if slot.read_only { " (read-only)" } else { "" };
        format!("{:#x}..{:#x}{kind}", slot.gpa, slot.end())
    };
    let all: Vec<_> = slots.iter().map(one).collect();
    if all.is_empty() {
        return "none".into();
    }
    all.join(", ")
}

fn describe_cards(macs: &[[u8; 6]]) -> String {
    let one = |mac: &[u8; 6]| mac.map(|byte| format!("{byte:02x}")).join(":");
    let all: Vec<_> = macs.iter().map(one).collect();
    if all.is_empty() {
        return "none".into();
    }
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_with_both_values() {
        let slot = |gpa, bytes, read_only| MemorySlot {
            gpa,
            bytes,
            read_only,
        };
        let saved = Shape {
            slots: vec![slot(0, 0x20_0000, false), slot(0x4000_0000, 0x1000, true)],
            vcpus: 1,
            irqchip: false,
            pc: false,
            serial: true,
            screen: None,
            network: vec![[2, 0, 0, 0, 0, 0xab]],
            ports: Some(vec!["agent".into()]),
            faults: false,
        };
        assert_eq!(saved.check(&saved.clone()), Ok(()));
        let other = |change: fn(&mut Shape)| {
            let mut other = saved.clone();
            change(&mut other);
            saved.check(&other).unwrap_err()
        };
        let messages = [
            other(|shape| shape.slots[0].bytes = 0x1000),
            other(|shape| shape.slots.truncate(1)),
            other(|shape| shape.vcpus = 2),
            other(|shape| shape.serial = false),
            other(|shape| shape.screen = Some(Screen::Text)),
            other(|shape| shape.network[0][5] = 1),
            other(|shape| shape.ports = None),
            other(|shape| shape.faults = true),
        ]
        .map(|error| {
            assert_eq!(error.code, ErrorCode::Snapshot);
            error.message
        });
        let expected = [
            "memoryBytes must be 2097152 as in the snapshot, got 4096",
            "slots must be 0x40000000..0x40001000 (read-only) as in the snapshot, got none",
            "vcpus must be 1 as in the snapshot, got 2",
            "serial must be true as in the snapshot, got false",
            "screen must be none as in the snapshot, got 'text'",
            "network must be 02:00:00:00:00:ab as in the snapshot, got 02:00:00:00:00:01",
            "ports must be [\"agent\"] as in the snapshot, got none",
            "faults must be 'off' as in the snapshot, got 'report'",
        ];
        assert_eq!(messages, expected);
    }
}
