"""Recipes: the released ones load, single values can be replaced, and bad ones are named."""

import pytest

from training.errors import RecipeError
from training.recipe import RECIPES, load_recipe, parse_settings


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.name)
def test_released_recipes_load_and_begin_with_their_command(path):
    recipe = load_recipe(path)
    assert f"python -m training {recipe.role} " in path.read_text().split("role:")[0]


def test_the_student_distils_at_the_temperature_of_the_original():
    recipe = load_recipe(RECIPES / "student.yaml")
    assert recipe.architecture == "mobilenetv3_small_100"
    assert recipe.distillation.temperature == 1.0


def test_replacements_reach_nested_values_and_an_option_not_given_keeps_them():
    settings = ["loss.name=focal", "loss.focal_gamma=1.5", "augmentation.scale=[0.7, 1]"]
    settings += ["learning_rate=3e-4", "start_size=null"]
    given = parse_settings(settings, {"epochs": 3, "seed": None})
    recipe, plain = (load_recipe(RECIPES / "teacher.yaml", **x) for x in (given, {}))
    assert (recipe.epochs, recipe.loss.name, recipe.loss.focal_gamma) == (3, "focal", 1.5)
    assert (recipe.augmentation.scale, recipe.learning_rate) == ((0.7, 1.0), 3e-4)
    assert recipe.start_size is None
    assert recipe.seed == plain.seed


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["epochs"], "takes KEY=VALUE.*not 'epochs'"),
        (["=3"], "takes KEY=VALUE"),
        (["size=[3"], "size: .* is no YAML value"),
        (["size=64", "size=96"], "size is given twice, 64 and '96'"),
        (["epochs=4"], "epochs is given twice, 3 and '4'"),
    ],
)
def test_a_setting_that_cannot_be_read_is_named(settings, message):
    with pytest.raises(RecipeError, match=message):
        parse_settings(settings, {"epochs": 3})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 0}, "epochs.*got 0"),
        ({"loss.name": "hinge"}, "loss.name.*hinge"),
        ({"learning_rat": 1.0}, "learning_rat: Extra inputs"),
        ({"start_size": 192}, "start_size .192. must not exceed size"),
        ({"epochs": 1}, "warmup_epochs"),
        ({"learning_rate": float("inf")}, "learning_rate.*finite"),
        ({"max_aspect_ratio": float("inf")}, "max_aspect_ratio.*finite"),
        ({"mean": [float("nan"), 0, 0]}, "mean.0.*finite"),
        ({"std": [0, 0.2, 0.2]}, "std.0.*greater than 0"),
        ({"augmentation.scale": [1.1, 0.7]}, "scale.*smaller share"),
        ({"augmentation.scale": [0, 0.7]}, "scale.0.*greater than 0"),
        ({"seed": -1}, "seed.*got -1"),
        ({"seed": 10**9}, "seed.*got 1000000000"),
    ],
)
def test_a_bad_value_is_named_with_its_key(given, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(RECIPES / "teacher.yaml", **given)


def test_a_missing_recipe_lists_the_known_ones(tmp_path):
    with pytest.raises(RecipeError, match=r"teacher\.yaml"):
        load_recipe(tmp_path / "none.yaml")


def test_a_broken_recipe_says_so(tmp_path):
    (tmp_path / "broken.yaml").write_text("role: [")
    with pytest.raises(RecipeError, match="is not YAML"):
        load_recipe(tmp_path / "broken.yaml")


def test_views_grow_to_full_size_by_two_thirds_of_the_epochs():
    recipe = load_recipe(RECIPES / "teacher.yaml", start_size=96, size=160, epochs=12)
    sizes = [recipe.size_at(epoch) for epoch in range(12)]
    assert sizes[0] == 96
    assert sizes == sorted(sizes)
    assert sizes[8:] == [160] * 4
    assert all(size % 16 == 0 for size in sizes)
    assert recipe.model_copy(update={"start_size": None, "size": 100}).size_at(0) == 100


def test_a_bare_no_is_no_mixed_precision():
    settings = parse_settings(["mixed_precision=no"])  # which YAML reads as false
    assert load_recipe(RECIPES / "student.yaml", **settings).mixed_precision == "no"
