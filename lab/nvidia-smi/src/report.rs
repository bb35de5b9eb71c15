//! `nvidia-smi -L` byte for byte, and a table in the style of plain `nvidia-smi` (without the line of the date, so that
//! two runs say the same).

use crate::nvml::{Gpu, Mig, Versions};

/// `-L`.
pub fn list(gpus: &[Gpu]) -> String {
    let mut text = String::new();
    for gpu in gpus {
        text += &format!("GPU {}: {} (UUID: {})\n", gpu.index, gpu.name, gpu.uuid);
        for mig in &gpu.mig {
            text += &format!("  MIG {:<11} Device {:>2}: (UUID: {})\n", mig.profile, mig.index, mig.uuid);
        }
    }
    text
}

const RULE: &str = "+-----------------------------------------------------------------------------------------+\n";
const COLUMNS: &str = "+-----------------------------------------+------------------------+----------------------+\n";

/// Without arguments.
pub fn table(versions: &Versions, gpus: &[Gpu]) -> String {
    let mut text = head(versions);
    for gpu in gpus {
        text += &rows(gpu);
    }
    if gpus.iter().any(|gpu| gpu.mig_enabled == Some(true)) {
        text += &mig_table(gpus);
    }
    text + &processes()
}

fn head(versions: &Versions) -> String {
    let cuda = format!("{}.{}", versions.cuda / 1000, versions.cuda % 1000 / 10);
    let driver = &versions.driver;
    format!(
        "{RULE}| NVIDIA-SMI {driver:<22} Driver Version: {driver:<14} CUDA Version: {cuda:<8} |\n\
         |-----------------------------------------+------------------------+----------------------+\n\
         | GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |\n\
         | Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |\n\
         |                                         |                        |               MIG M. |\n\
         |=========================================+========================+======================|\n"
    )
}

fn rows(gpu: &Gpu) -> String {
    let mig = match gpu.mig_enabled {
        Some(true) => "Enabled",
        Some(false) => "Disabled",
        None => "N/A",
    };
    format!(
        "| {:>3}  {:<30.30} Off | {:>18} Off | {:>20} |\n\
         | N/A   N/A    P0             N/A /  N/A  | {:>7}MiB / {:>6}MiB | {:>7}      Default |\n\
         |                                         |                        | {mig:>20} |\n{COLUMNS}",
        gpu.index, gpu.name, gpu.bus_id, "N/A", 0, gpu.memory_mib, "0%"
    )
}

fn mig_table(gpus: &[Gpu]) -> String {
    let mut text = format!("\n{RULE}| {:<87} |\n", "MIG devices:");
    text += &format!("| {:<87} |\n", "GPU  GI  CI  MIG |           Memory-Usage | Profile");
    text += &format!("| {:<87} |\n", "     ID  ID  Dev |");
    text += &format!("|{}|\n", "=".repeat(89));
    let devices = gpus.iter().flat_map(|gpu| gpu.mig.iter().map(|mig| (gpu.index, mig)));
    let rows: Vec<String> = devices.map(|(index, mig)| format!("| {:<87} |\n", mig_row(index, mig))).collect();
    if rows.is_empty() {
        text += &format!("| {:<87} |\n", " No MIG devices found");
    }
    text + &rows.concat() + RULE
}

fn mig_row(gpu: u32, mig: &Mig) -> String {
    let Mig { index, gpu_instance, compute_instance, memory_mib, profile, .. } = mig;
    format!(
        "{gpu:>3} {gpu_instance:>3} {compute_instance:>3} {index:>4} | {:>7}MiB / {memory_mib:>6}MiB | {profile}",
        0
    )
}

fn processes() -> String {
    format!(
        "\n{RULE}| Processes:                                                                              |\n\
         |  GPU   GI   CI        PID   Type   Process name                              GPU Memory |\n\
         |        ID   ID                                                               Usage      |\n\
         |=========================================================================================|\n\
         |  No running processes found                                                             |\n{RULE}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn gpus() -> Vec<Gpu> {
        let mig = |index, profile: &str| Mig {
            index,
            profile: profile.into(),
            uuid: format!("MIG-{index}"),
            gpu_instance: 7 + index,
            memory_mib: 4864,
            ..Mig::default()
        };
        vec![Gpu {
            index: 0,
            name: "NVIDIA A100-SXM4-40GB".into(),
            uuid: "GPU-5d5ba0d6".into(),
            bus_id: "00000000:07:00.0".into(),
            memory_mib: 40960,
            mig_enabled: Some(true),
            mig: vec![mig(0, "1g.5gb"), mig(1, "1c.3g.20gb")],
            ..Gpu::default()
        }]
    }

    #[test]
    fn list_has_the_real_columns() {
        expect![[r#"
            GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6)
              MIG 1g.5gb      Device  0: (UUID: MIG-0)
              MIG 1c.3g.20gb  Device  1: (UUID: MIG-1)
        "#]]
        .assert_eq(&list(&gpus()));
    }

    #[test]
    fn every_line_of_the_table_is_as_wide_as_its_frame() {
        let text = table(&Versions { driver: "550.54.14".into(), cuda: 12040 }, &gpus());
        for line in text.lines().filter(|line| !line.is_empty()) {
            assert_eq!(line.chars().count(), RULE.trim_end().len(), "{line}");
        }
        for part in ["CUDA Version: 12.4 ", "40960MiB", "Enabled", "1c.3g.20gb"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }
}
