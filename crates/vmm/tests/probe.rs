//! What the probe reports is what running each mode shows.

use vmm::{CpuMode, Privilege};

#[test]
fn every_kvm_runs_real_protected_and_long_mode() {
    let report = vmm::probe().unwrap();
    println!("{} {report:#?}", vmm::backend());
    assert_eq!(report.api_version, 12);
    for mode in &report.modes {
        if mode.mode != CpuMode::Paged32 {
            assert_eq!(mode.reason, None, "{mode:?}");
        }
    }
    assert_eq!(report.modes.len(), 5);
    assert!(
        report
            .modes
            .iter()
            .any(|mode| mode.privilege == Privilege::User)
    );
    assert!(report.exit_cost_ns > 100.0, "{}", report.exit_cost_ns);
}
