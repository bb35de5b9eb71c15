//! What an image demands of the machine, `--require` (section 20), judged by the one set of rules that all modes have
//! (`plan::requirement`), with the original's texts.

use crate::{DeviceInfo, Error, Gpu, Machine, nvml_answer, select::Selection};
use plan::{
    request::Requirement,
    requirement::{self, Facts, Property, RequirementError},
};

/// Most requirements of one call.
pub const MOST: usize = 32;

/// Why a machine is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// NVML, which alone knows, cannot be asked.
    Nvml(Error),
    /// It is not what was demanded, or the demand makes no sense.
    Requirement(Error),
}

impl Machine {
    /// Holds all requirements against every selected GPU, and against the parents of the selected MIG devices; once without
    /// a GPU where none is selected. NVML is asked only if one is about what it alone knows.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn require(&self, texts: &[&str], selection: &Selection, info: &DeviceInfo) -> Result<(), Refused> {
        let as_requirement = |text: &&str| Requirement { variable: "--require".to_owned(), text: (*text).to_owned() };
        let requirements: Vec<_> = texts.iter().map(as_requirement).collect();
        let mut properties = Vec::new();
        for requirement in &requirements {
            let parsed = requirement::parse(requirement).map_err(|error| refused(&error, &requirement.text))?;
            properties.extend(parsed.properties());
        }
        let subjects: Vec<Option<&Gpu>> = match selection.gpus.is_empty() {
            true => vec![None],
            false => selection.gpus(info).map(Some).collect(),
        };
        let asks_nvml = properties.iter().any(|property| match property {
            Property::Driver => false,
            Property::Cuda => true,
            Property::Arch | Property::Brand => !selection.gpus.is_empty(),
        });
        for subject in subjects {
            let facts = self.facts_about(subject, asks_nvml).map_err(Refused::Nvml)?;
            for requirement in &requirements {
                requirement::check(std::slice::from_ref(requirement), &facts)
                    .map_err(|error| refused(&error, &requirement.text))?;
            }
        }
        Ok(())
    }

    fn facts_about(&self, gpu: Option<&Gpu>, with_nvml: bool) -> Result<Facts, Error> {
        let unsaid = || nvml_answer::unsaid().to_string();
        let known = match with_nvml {
            true => Some(self.ask_nvml(self.inventory()?)?),
            false => None,
        };
        let of_gpu = |gpu: &Gpu| known.as_ref()?.gpus.iter().find(|known| known.uuid.eq_ignore_ascii_case(&gpu.uuid));
        let dotted = |(major, minor): (u32, u32)| format!("{major}.{minor}");
        Ok(Facts {
            cuda: known.as_ref().and_then(|known| known.cuda_version).map(dotted).ok_or_else(unsaid),
            driver: Ok(self.driver_version().to_owned()),
            arch: gpu.map(|gpu| of_gpu(gpu).and_then(|known| known.compute_capability).map(dotted).ok_or_else(unsaid)),
            brand: gpu.map(|gpu| {
                of_gpu(gpu).map(|known| known.brand.clone()).filter(|brand| !brand.is_empty()).ok_or_else(unsaid)
            }),
        })
    }
}

/// The original names the first alternative, whichever failed.
fn refused(error: &RequirementError, text: &str) -> Refused {
    let first = text.split(' ').next().unwrap_or_default();
    Refused::Requirement(Error::new(match error {
        RequirementError::Syntax { .. } => "invalid expression".to_owned(),
        RequirementError::Unsatisfied { .. } if first.starts_with("cuda>=") => format!(
            "unsatisfied condition: {first}, please update your driver to a newer version, or use an earlier cuda container"
        ),
        RequirementError::Unsatisfied { .. } => format!("unsatisfied condition: {first}"),
        RequirementError::Unknown { .. } => error.to_string(),
    }))
}
