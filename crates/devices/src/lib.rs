//! What a guest finds at its ports: a serial port, the small chips of a PC, and where its text
//! goes.
//!
//! A device sees offsets and bytes, never an address, and knows neither KVM nor a thread. Its
//! interrupt leaves through a [`Trigger`]; what it asks of the whole machine it returns.
#![forbid(unsafe_code)]

mod cmos;
mod com1;
mod console;
mod device;
mod fw_cfg;
mod i8042;
#[cfg(test)]
mod noise;
mod output;
mod power;
mod remote;
mod reset;
mod serial;
mod state;
mod trigger;
mod vga;
pub mod virtio;
mod written;

pub use cmos::Cmos;
pub use com1::{Com1, SerialPort};
pub use console::{CONSOLE_BATCH_BYTES, Console};
pub use device::{Clock, Context, Device, Doorbell, Memory, PowerRequest, SystemClock};
pub use fw_cfg::{FwCfg, FwCfgNumbers, MAX_DIRECTORY_FILES, MAX_FILE_BYTES, MAX_FILE_NAME_BYTES};
pub use i8042::{I8042, KEYBOARD_QUEUE_CODES, KeyboardPort};
pub use output::{MAX_OUTPUT_BYTES, Output};
pub use power::{Pm1, PowerButton, S5_SLEEP_TYPE};
pub use remote::{
    DiskAnswer, DiskAsked, DiskRequest, FRAME_BYTES, HostBell, NIC_FRAMES, NicCounts, PORT_BYTES,
    Pushed, Remote, RemoteDisk, RemoteNic, RemotePort, Remotes,
};
pub use reset::{ControlA, ResetControl};
pub use state::State;
pub use trigger::{Level, Trigger};
pub use vga::{
    CELL_HEIGHT, CELL_WIDTH, Cursor, Look, TEXT_BYTES, TEXT_COLUMNS, TEXT_LINES, VGA_PORTS, Vga,
    VgaPort, draw_text, xrgb_to_rgba,
};
pub use written::{DmaMemory, Written};
