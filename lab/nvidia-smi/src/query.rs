//! `--query-gpu=FIELDS --format=csv[,noheader][,nounits]`.

use crate::{Stop, nvml::Gpu};

/// Fields to show and how.
#[derive(Debug, PartialEq, Eq)]
pub struct Query {
    fields: Vec<Field>,
    header: bool,
    units: bool,
}

/// One field, by its first name in [`NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Index,
    Uuid,
    Name,
    BusId,
    DriverVersion,
    MemoryTotal,
    ComputeCapability,
    MigMode,
}

/// What fields are called; the first name of each heads its column.
const NAMES: [(&str, Field); 11] = [
    ("index", Field::Index),
    ("uuid", Field::Uuid),
    ("gpu_uuid", Field::Uuid),
    ("name", Field::Name),
    ("gpu_name", Field::Name),
    ("pci.bus_id", Field::BusId),
    ("gpu_bus_id", Field::BusId),
    ("driver_version", Field::DriverVersion),
    ("memory.total", Field::MemoryTotal),
    ("compute_cap", Field::ComputeCapability),
    ("mig.mode.current", Field::MigMode),
];

impl Query {
    pub fn new(fields: &str, format: &str) -> Result<Query, Stop> {
        let options: Vec<&str> = format.split(',').collect();
        if !options.contains(&"csv") {
            return Err(Stop::new(2, format!("\"{format}\" is not a valid format: csv is the only one.\n")));
        }
        Ok(Query {
            fields: fields.split(',').map(|name| field(name.trim())).collect::<Result<_, _>>()?,
            header: !options.contains(&"noheader"),
            units: !options.contains(&"nounits"),
        })
    }

    pub fn answer(&self, gpus: &[Gpu]) -> String {
        let mut text = String::new();
        if self.header {
            text += &self.line(|field| self.heading(field));
        }
        for gpu in gpus {
            text += &self.line(|field| self.value(field, gpu));
        }
        text
    }

    fn line(&self, cell: impl Fn(Field) -> String) -> String {
        let cells: Vec<String> = self.fields.iter().map(|field| cell(*field)).collect();
        cells.join(", ") + "\n"
    }

    fn heading(&self, field: Field) -> String {
        let name = NAMES.iter().find(|(_, other)| *other == field).map_or("", |(name, _)| name);
        if field == Field::MemoryTotal && self.units { format!("{name} [MiB]") } else { name.to_owned() }
    }

    fn value(&self, field: Field, gpu: &Gpu) -> String {
        match field {
            Field::Index => gpu.index.to_string(),
            Field::Uuid => gpu.uuid.clone(),
            Field::Name => gpu.name.clone(),
            Field::BusId => gpu.bus_id.clone(),
            Field::DriverVersion => gpu.driver_version.clone(),
            Field::MemoryTotal if self.units => format!("{} MiB", gpu.memory_mib),
            Field::MemoryTotal => gpu.memory_mib.to_string(),
            Field::ComputeCapability => format!("{}.{}", gpu.compute_capability.0, gpu.compute_capability.1),
            Field::MigMode => match gpu.mig_enabled {
                Some(true) => "Enabled",
                Some(false) => "Disabled",
                None => "[N/A]",
            }
            .to_owned(),
        }
    }
}

fn field(name: &str) -> Result<Field, Stop> {
    let found = NAMES.iter().find(|(known, _)| *known == name).map(|(_, field)| *field);
    found.ok_or_else(|| Stop::new(2, format!("Field \"{name}\" is not a valid field to query.\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn csv_as_the_real_one_writes_it() {
        let gpu = Gpu {
            index: 1,
            name: "NVIDIA T4".into(),
            uuid: "GPU-1".into(),
            memory_mib: 15360,
            compute_capability: (7, 5),
            ..Gpu::default()
        };
        let answer = |format| {
            let query = Query::new("index, gpu_uuid,name,memory.total,compute_cap,mig.mode.current", format).unwrap();
            query.answer(std::slice::from_ref(&gpu))
        };
        expect![[r#"
            index, uuid, name, memory.total [MiB], compute_cap, mig.mode.current
            1, GPU-1, NVIDIA T4, 15360 MiB, 7.5, [N/A]
        "#]]
        .assert_eq(&answer("csv"));
        assert_eq!(answer("csv,noheader,nounits"), "1, GPU-1, NVIDIA T4, 15360, 7.5, [N/A]\n");
    }
}
