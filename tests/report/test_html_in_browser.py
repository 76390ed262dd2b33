"""The HTML report in headless Chromium: clicked, filtered, searched, sorted, wide and narrow."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pages
import pytest
from pages import CASES
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from evalc.diagnostics.visible import visible_lines
from evalc.report import build_report
from evalc.report.html import report_page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> tuple[str, str]:
    """Paths of a browser and its driver; without them the test is skipped, but fails in CI."""
    browser = next((found for name in NAMES if (found := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if browser and driver:
        return browser, driver
    reason = "no chromium with chromedriver: `make browser` installs them as root on Debian"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass
class Reader:
    """A person who reads a page in a browser."""

    driver: Any

    def open(self, path: Path, width: int = 1200, height: int = 900, **media: str) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": name.replace("_", "-"), "value": v} for name, v in media.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.get("about:blank")
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        self.driver.get(path.as_uri())

    def browse(self) -> None:
        """Wait for the cases."""
        self.until(lambda: self.one("#browser").is_displayed())

    def one(self, selector: str) -> WebElement:
        found: WebElement = self.driver.find_element(By.CSS_SELECTOR, selector)
        return found

    def all(self, selector: str) -> list[WebElement]:
        found: list[WebElement] = self.driver.find_elements(By.CSS_SELECTOR, selector)
        return found

    def choose(self, name: str, value: str) -> None:
        Select(self.one(f"[name={name}]")).select_by_value(value)

    def until(self, done: Any) -> None:
        WebDriverWait(self.driver, 20, poll_frequency=0.02).until(lambda _: done())

    def count(self) -> int:
        return int(self.one("#count").text.split()[0].replace(",", ""))

    def column(self, name: str) -> list[str]:
        return [cell.text for cell in self.all(f"#list td.{name}")]

    def script(self, code: str, *arguments: Any) -> Any:
        return self.driver.execute_script(f"return {code}", *arguments)

    def errors(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> set[str]:
        """Everything that was asked for since the page was opened."""
        events = [
            json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")
        ]
        sent = [
            event["params"] for event in events if event["method"] == "Network.requestWillBeSent"
        ]
        return {params["request"]["url"] for params in sent}


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    browser, service = chromium()
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    profile = tmp_path_factory.mktemp("profile")
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(service))
    yield started
    started.quit()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "report.html"
    path.write_text(pages.page(), encoding="utf-8")
    return path


@pytest.fixture
def reader(driver: Any) -> Reader:
    return Reader(driver)


@pytest.fixture
def browsing(reader: Reader, file: Path) -> Iterator[Reader]:
    reader.open(file)
    reader.browse()
    yield reader
    assert reader.errors() == []


def test_the_page_opens_without_an_error_and_asks_for_nothing(reader: Reader, file: Path) -> None:
    reader.open(file)
    reader.browse()
    reader.one("#list button").click()
    assert reader.errors() == []
    assert reader.requests() == {file.as_uri()}
    assert reader.script("performance.getEntriesByType('resource').length") == 0


def test_hostile_texts_are_shown_as_they_are(browsing: Reader) -> None:
    browsing.one("[name=query]").send_keys("window.broken")
    browsing.until(lambda: browsing.count() == 4)
    for place in range(4):
        browsing.all("#list button")[place].click()
        assert visible_lines(pages.HOSTILE) in browsing.script(
            "document.querySelector('#case-body').textContent"
        )
        browsing.one("#case-close").click()
    assert browsing.script("window.broken === undefined")
    assert browsing.script("document.images.length") == 0


def test_the_filters_leave_what_they_say(browsing: Reader) -> None:
    assert browsing.count() == 2 * CASES + 2 * 8 + 2 * 2
    browsing.choose("task", "quiz")
    assert browsing.count() == 2 * CASES
    browsing.choose("model", "tuned")
    assert browsing.count() == CASES
    assert set(browsing.column("model")) == {"tuned"}
    browsing.choose("outcome", "wrong")
    assert browsing.column("case") == ["case-3", "case-10", "case-20", "case-40"]
    browsing.choose("outcome", "right")
    assert browsing.count() == CASES - 4


def test_only_flips_are_the_cases_that_changed_and_broken_and_fixed_tell_them_apart(
    browsing: Reader,
) -> None:
    browsing.choose("task", "quiz")
    for change, cases in (
        ("flips", ["case-3", "case-5", "case-10", "case-20"]),
        ("broken", ["case-3", "case-10", "case-20"]),
        ("fixed", ["case-5"]),
    ):
        browsing.choose("change", change)
        assert browsing.column("case") == cases
        assert set(browsing.column("model")) == {"tuned"}
    assert browsing.column("result") == ["✓ right"]
    assert browsing.column("before") == ["✗ wrong"]
    browsing.choose("model", "base")
    browsing.choose("baseline", "tuned")
    assert browsing.column("case") == ["case-3", "case-10", "case-20"]


def test_each_model_flips_against_its_own_record(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "recorded.html"
    path.write_text(pages.recorded_page(), encoding="utf-8")
    reader.open(path)
    reader.browse()
    reader.choose("change", "flips")
    assert reader.column("case") == ["case-3", "case-4"]
    assert reader.column("model") == ["m", "n"]
    reader.all("#list button")[1].click()
    names = [each.text for each in reader.all("#case-body .side .name")]
    assert names[:2] == ["main (n) (baseline)", "n"]


def test_a_lower_perplexity_is_a_fix(browsing: Reader) -> None:
    browsing.choose("task", "prose")
    browsing.choose("change", "broken")
    assert browsing.count() == 2
    browsing.choose("baseline", "tuned")
    browsing.choose("change", "fixed")
    assert set(browsing.column("model")) == {"base"}


def test_search_finds_prompts_choices_and_what_models_wrote(browsing: Reader) -> None:
    search = browsing.one("[name=query]")
    for words, count in (
        ("QUESTION 77:", 2),
        ("what is 3 +", 2),
        ("#### 9", 2),
        ("no such text", 0),
    ):
        search.clear()
        search.send_keys(words)
        browsing.until(lambda count=count: browsing.count() == count)
    assert browsing.column("case") == []


def test_a_flip_is_shown_side_by_side_with_its_baseline(browsing: Reader) -> None:
    browsing.choose("task", "quiz")
    browsing.choose("change", "broken")
    browsing.all("#list tr")[1].click()
    assert browsing.one("#case-title").text == "quiz · case-10"
    first, second = browsing.all("#case-body .side")
    assert first.find_element(By.CLASS_NAME, "name").text == "base (baseline)"
    assert second.find_element(By.CLASS_NAME, "name").text == "tuned"
    assert first.location["y"] == second.location["y"]
    assert first.location["x"] + first.size["width"] <= second.location["x"]
    for side, picked in ((first, "red"), (second, "green")):
        assert picked in side.find_element(By.CSS_SELECTOR, "li.picked").text
        assert "red" in side.find_element(By.CSS_SELECTOR, "li.target").text
    assert "good" in first.get_attribute("class") and "bad" in second.get_attribute("class")
    assert "-2.00" in second.text


def test_cases_are_paged_through_with_keys_and_buttons(browsing: Reader) -> None:
    browsing.choose("task", "quiz")
    browsing.choose("change", "flips")
    browsing.one("#list button").click()
    titles = []
    for _ in range(3):
        titles.append(browsing.one("#case-title").text)
        browsing.one("#case").send_keys(Keys.ARROW_RIGHT)
    assert titles == ["quiz · case-3", "quiz · case-5", "quiz · case-10"]
    assert not browsing.one("#case-next").is_enabled()
    browsing.one("#case-previous").click()
    assert browsing.one("#case-title").text == "quiz · case-10"
    browsing.one("#case").send_keys(Keys.ESCAPE)
    assert not browsing.one("#case").is_displayed()


def test_few_shot_examples_are_folded_away_from_the_question(browsing: Reader) -> None:
    browsing.choose("task", "quiz")
    browsing.one("#list button").click()
    folded, question = browsing.all("#case-body pre")
    assert question.text == "Question 0: which colour is it?"
    assert not folded.is_displayed()
    browsing.one("#case-body summary").click()
    assert folded.text.startswith("Here are some examples")


def test_a_click_on_a_heading_sorts_and_another_turns_it_round(browsing: Reader) -> None:
    table = browsing.one("#results table.sortable")

    def values() -> list[float]:
        cells = table.find_elements(By.CSS_SELECTOR, "tbody td:nth-child(4)")
        return [float(cell.get_attribute("data-key") or "nan") for cell in cells]

    before = values()
    heading = table.find_element(By.CSS_SELECTOR, "th:nth-child(4)")
    heading.find_element(By.TAG_NAME, "button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert values() == sorted(before) != before
    heading.find_element(By.TAG_NAME, "button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert values() == sorted(before, reverse=True)


def test_a_folded_gate_opens_and_shows_its_looks(reader: Reader, tmp_path: Path) -> None:
    many = [pages.gate(f"g{n}", "pass") for n in range(4)]
    path = tmp_path / "many.html"
    path.write_text(pages.page(gates=many), encoding="utf-8")
    reader.open(path)
    gate = reader.one("details.gate")
    assert not gate.find_element(By.CLASS_NAME, "sentence").is_displayed()
    gate.find_element(By.TAG_NAME, "summary").click()
    assert gate.find_element(By.CLASS_NAME, "sentence").is_displayed()
    gate.find_element(By.CSS_SELECTOR, ".looks summary").click()
    assert len([svg for svg in gate.find_elements(By.TAG_NAME, "svg") if svg.is_displayed()]) == 3


@pytest.mark.parametrize("width", [320, 360, 412, 768, 1200])
def test_the_page_never_scrolls_sideways(reader: Reader, file: Path, width: int) -> None:
    reader.open(file, width=width)
    reader.browse()
    reader.script("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert reader.script("document.documentElement.scrollWidth") <= width
    narrow, wide = reader.one(".narrow"), reader.one(".wide")
    assert (narrow.is_displayed(), wide.is_displayed()) == (width < 760, width > 760)
    reader.one("#list button").click()
    dialog = reader.one("#case")
    assert dialog.is_displayed()
    assert reader.script("arguments[0].scrollWidth <= arguments[0].clientWidth", dialog)


def test_dark_and_light_follow_the_reader(reader: Reader, file: Path) -> None:
    found = {}
    for scheme in ("light", "dark"):
        reader.open(file, prefers_color_scheme=scheme)
        color = "getComputedStyle(document.body).backgroundColor"
        point = "getComputedStyle(document.querySelector('.condition svg path[fill*=s0]')).fill"
        found[scheme] = (reader.script(color), reader.script(point))
    assert found["light"][0] == "rgb(253, 253, 251)"
    assert found["dark"][0] == "rgb(20, 22, 26)"
    assert found["light"][1] != found["dark"][1]


def test_without_script_all_but_the_browser_of_cases_is_there(reader: Reader, file: Path) -> None:
    reader.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        reader.open(file)
        assert "1 of 3 gates failed" in reader.one("h1").text
        assert "JavaScript" in reader.one("noscript p").text
        assert not reader.one("#browser").is_displayed()
        gate = reader.one("details.gate .looks")
        gate.find_element(By.TAG_NAME, "summary").click()
        assert "32" in gate.text
    finally:
        reader.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_fifty_thousand_cases_stay_quick_to_filter(reader: Reader, tmp_path: Path) -> None:
    right = [n % 3 for n in range(50_000)]
    made = pages.many(right)
    path = tmp_path / "large.html"
    path.write_text(report_page(build_report([made], cases=True), cells=[made]), encoding="utf-8")
    assert path.stat().st_size < 4_000_000
    reader.open(path)
    reader.browse()
    assert reader.count() == 50_000
    assert len(reader.all("#list tr")) == 50
    began = time.monotonic()
    reader.choose("outcome", "wrong")
    reader.until(lambda: reader.count() == right.count(0))
    reader.one("[name=query]").send_keys("item 49998 ")
    reader.until(lambda: reader.count() == 1)
    assert time.monotonic() - began < 5
    assert reader.column("case") == ["case-49998"]
