//! The reference's table (runtime-and-hook.md 5.3, libnvidia-container.md section 20), as this grader sees it.

use super::*;

fn facts() -> Facts {
    Facts {
        cuda: Ok("12.4".into()),
        driver: Ok("550.54.14".into()),
        arch: Some(Ok("9.0".into())),
        brand: Some(Ok("Tesla".into())),
    }
}

fn judge(text: &str, facts: &Facts) -> Result<(), String> {
    let requirement = Requirement { variable: "NVIDIA_REQUIRE_X".into(), text: text.into() };
    check(&[requirement], facts).map_err(|error| error.to_string())
}

#[test]
fn what_holds() {
    for text in [
        "cuda>=12.4",
        "cuda<=12.4",
        "cuda=12.4",
        "cuda=12.4.0",
        "cuda=12.4+x",
        "cuda>=12",
        "cuda>=v12.4",
        "cuda>=012.04",
        "cuda>=12.4-rc1",
        "arch=9",
        "",
        ",",
        " ",
        " cuda>=12",
        "cuda>=12,,arch>=8",
        "cuda>=12  arch>=99",
        "cuda>=12,cuda>=13 arch=9.0,cuda=12.4",
        "CUDA>=12",
        "brand=tesla",
        "brand=TESLA",
        "brand!=geforce",
        "driver>550.54",
        "driver>=470 cuda>=12.0",
        "driver>550.54.13.9",
        "cuda>=13\tarch>=9\n",
        "brand=Tesla,driver>=550,driver<551",
    ] {
        assert_eq!(judge(text, &facts()), Ok(()), "{text}");
    }
}

#[test]
fn what_does_not() {
    for text in [
        "cuda>12.4",
        "cuda<12.4",
        "cuda!=12.4",
        "cuda>=12.4.1",
        "arch>9.0",
        "brand=geforce",
        "driver>=551",
        "cuda>=12,arch>=99",
        "cuda>=13 arch>=10",
    ] {
        assert!(judge(text, &facts()).is_err(), "{text}");
    }
    assert_eq!(
        judge("cuda>=13.0 brand=geforce", &facts()),
        Err("unsatisfied condition: cuda>=13.0 (cuda=12.4), please update your driver to a newer version, or use an \
             earlier cuda container; NVIDIA_REQUIRE_X demands it"
            .into())
    );
    let error = judge("brand=geforce", &facts()).expect_err("brand");
    assert!(error.starts_with("unsatisfied condition: brand=geforce (brand=Tesla), "), "{error}");
}

#[test]
fn what_is_no_expression() {
    for (text, why) in [
        ("foo", "no operator"),
        ("cuda>=12 foo", "no operator"),
        ("cuda >=12", "no operator"),
        ("cuda==12.4", "no such operator"),
        ("cuda=>12.4", "no such operator"),
        ("cuda<>12", "no such operator"),
        ("cuda!12.4", "no such operator"),
        ("brand!x", "no such operator"),
        ("foo>=1", "no such property"),
        ("cuda>=12 foo>=1", "no such property"),
        (">=1", "no such property"),
        ("cuda>=", "no value"),
        ("cuda>= 12", "no value"),
        ("cuda>=abc", "invalid semantic version"),
        ("brand<tesla", "only be equal"),
    ] {
        let error = judge(text, &facts()).expect_err(text);
        assert!(error.contains(why) && error.contains("invalid constraint: "), "{text}: {error}");
    }
}

/// What CUDA's images really say.
#[test]
fn a_real_image() {
    let text = "cuda>=12.8 brand=unknown,driver>=470,driver<471 brand=grid,driver>=470,driver<471 \
                brand=tesla,driver>=550,driver<551 brand=nvidiartx,driver>=550,driver<551";
    assert_eq!(judge(text, &facts()), Ok(()));
    let geforce = Facts { brand: Some(Ok("GeForce".into())), ..facts() };
    assert!(judge(text, &geforce).expect_err("geforce").starts_with("unsatisfied condition: cuda>=12.8 (cuda=12.4)"));
    let rtx = Facts { brand: Some(Ok("NVIDIA RTX".into())), ..facts() };
    assert_eq!(judge(text, &rtx), Ok(()));
}

#[test]
fn unknown_facts_are_named() {
    let blind = Facts { cuda: Err("NVML has not answered".into()), ..facts() };
    assert_eq!(judge("cuda>=99 arch>=9", &blind), Ok(()));
    let error = judge("cuda>=99 arch>=10", &blind).expect_err("undecided");
    assert!(error.contains("the CUDA version of the driver is unknown: NVML has not answered"), "{error}");
    assert!(judge("cuda>=99,arch>=10", &blind).expect_err("fails").starts_with("unsatisfied condition: arch>=10"));
}

#[test]
fn without_a_device_nothing_is_said_about_one() {
    let bare = Facts { arch: None, brand: None, ..facts() };
    assert_eq!(judge("arch>=99,brand=geforce", &bare), Ok(()));
    assert!(judge("arch>=99,cuda>=13", &bare).is_err());
}

#[test]
fn the_machine_says() {
    let mut inventory = Inventory::default();
    assert!(Facts::of_machine(&inventory, None).driver.is_err());
    let gpu = GpuFacts {
        uuid: "GPU-1".into(),
        compute_capability: Some((9, 0)),
        brand: "Tesla".into(),
        ..GpuFacts::default()
    };
    inventory.nvml =
        Some(host::NvmlFacts { driver_version: "550.54.14".into(), cuda_version: Some((12, 4)), gpus: vec![gpu] });
    assert_eq!(Facts::of_machine(&inventory, Some("GPU-1")), facts());
    assert_eq!(Facts::of_machine(&inventory, Some("GPU-2")).brand, Some(Err("NVML does not report it".into())));
}

proptest::proptest! {
    #[test]
    fn any_text_is_answered(text in "[a-z<>=!., 0-9é+-]{0,60}") {
        let _ = judge(&text, &facts());
    }
}
