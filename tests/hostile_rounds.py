"""Rounds of commands over specs, rows, answers, hooks, names and arguments full of hostile text."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import hostile as h
from evalc.exec.answer import transcripts
from evalc.plan.provenance import digest
from hostile_stage import GITHUB, Stage


class Rounds(Stage):
    """One method puts text into one kind of place, and looks at what comes out."""

    def answers(self, count: int) -> None:
        """What is valid and hostile: rows, ids, choices, slices, file names, answers."""
        data, folder = self.name(".jsonl"), self.root / self.name()
        if not folder.exists():
            folder.symlink_to(self.model)
        self.write(self._valid(data, folder), self.name(".toml"))
        rows = [self._row(n) for n in range(count)]
        self.rows(data, rows)
        for form in ("terminal", "line", "json", "github"):
            ran = self.run("check", "specs", "--format", form)
            self.seen("pipe", ran, "check", form, github=form == "github")
        self.every_stream("plan", "specs")
        texts = [self.text(surrogates=True) for _ in range(count)]

        def answering() -> None:
            transcripts.Transcript.text = lambda own: texts[sum(own.tokens) % len(texts)]

        ran = self.run(
            *("exec", "specs", "--junit", "junit.xml", "--record", "main"),
            more={**GITHUB, "GITHUB_STEP_SUMMARY": self.summary},
            before=answering,
        )
        self.seen("workflow", ran, "exec", github=True)
        if ran.code not in (0, 3, 4):
            self.faults.append(f"exec ended with {ran.code}: {ran.err[-600:]!r}")
        self.files("exec")
        self.every_stream("report", "specs", "--slices", "--cases", str(count))
        for arguments in (("report", "specs", "--markdown", "--cases", "40"),
                          ("diff", "m", "n", "specs", "--markdown", "--limit", "40")):  # fmt: skip
            ran = self.run(*arguments)
            self.look("markdown", str(arguments), h.markdown_faults(ran.out))
        self.every_stream("diff", "m", "n", "specs", "--limit", "40")
        for arguments in (("report", "specs"), ("plan", "specs"), ("diff", "m", "n", "specs"),
                          ("explain", "q", "specs"), ("cache", "stat")):  # fmt: skip
            ran = self.run(*arguments, "--json")
            self.look("json", str(arguments), h.json_faults(ran.out))
            ran = self.run(*arguments, "--json", encoding="ascii")
            self.look("json ascii", str(arguments), h.json_faults(ran.out))
        self.seen("pipe", self.run("report", "specs", "--html", "page.html"), "report --html")
        self.files("report --html")
        self.seen("pipe", self.run("diff", "m", "n", "specs", "--html", "page.html"), "diff --html")
        self.files("diff --html")
        for row in self.rng.sample(rows, 2):
            self.seen("pipe", self.run("explain", row["id"], "specs"), "explain", row["id"])
        for arguments in (("cache", "stat"), ("cache", "verify")):
            self.seen("pipe", self.run(*arguments), *arguments)

    def _row(self, n: int) -> dict[str, Any]:
        choices = [f"{self.text()}{place}" for place in range(3)]
        group = self.text() if n % 4 == 0 else "g"
        return {"q": self.text(), "id": f"{n}{self.text()}", "c": choices, "a": n % 3,
                "t": self.text(), "g": group}  # fmt: skip

    def _valid(self, data: str, folder: Path) -> str:
        lines = [
            "evalc = 1",
            *("[models.m]", f"path = {h.toml(str(folder))}", "[models.n]"),
            *(f"path = {h.toml(str(folder))}", "max_length = 256"),
            *("[datasets.d]", f"path = {h.toml(data)}", 'id = "{{ id }}"'),
            "[tasks.q]",
            *(
                'dataset = "d"',
                'type = "multiple_choice"',
                'prompt = "{{ q }}"',
                "overflow = 'truncate'",
            ),
            *(f"description = {h.toml(self.plain()[:20])}", f"delimiter = {h.toml(self.plain())}"),
            *('choices = "{{ c }}"', 'target = "{{ a }}"', 'metrics = ["acc", "acc_norm"]'),
            f"slices = [{h.toml('{{ g }}')}, {h.toml(self.plain() + '{{ a }}')}]",
            f"tags = [{h.toml(self.text())}]",
            "[tasks.g]",
            *('dataset = "d"', 'type = "generate"', 'prompt = "{{ q }}"', 'target = "{{ t }}"'),
            *('metrics = ["exact_match"]', "overflow = 'truncate'"),
            f"generate = {{ max_new_tokens = 3, stop = [{h.toml(self.text())}] }}",
            '[gates."é"]',
            *('metric = "q.acc"', "min = 0.99"),
            "[gates.soft]",
            *('metric = "g.exact_match"', "min = 0.5", 'on_inconclusive = "warn"'),
        ]
        return "\n".join(lines) + "\n"

    def wrong_specs(self, count: int) -> None:
        """What is wrong and hostile: every kind of string of a spec."""
        self.write("\n".join(["evalc = 1", *(self._wrong(n) for n in range(count))]) + "\n",
                   self.name(".toml"))  # fmt: skip
        for form in ("terminal", "line", "json", "github"):
            ran = self.run("check", "specs", "--format", form)
            if form == "json":
                self.look("json", "check", h.json_faults(ran.out))
            self.seen("pipe", ran, "check", form, github=form == "github")
        self.every_stream("plan", "specs")
        self.seen("pipe", self.run("exec", "specs", "--junit", "junit.xml"), "exec")
        self.files("exec")

    def _wrong(self, n: int) -> str:
        text, key = h.toml(self.text()), h.toml(self.text())
        task = f'[tasks.t{n}]\ndataset = "d{n}"\ntype = "generate"\nprompt = "p"\nmetrics = ["x"]\n'
        return self.rng.choice(
            [
                f"[datasets.d{n}]\npath = {text}\nrows = {key}",
                f"[datasets.d{n}]\npath = {h.toml('hf:' + self.text())}\nprepare = {text}",
                f"[models.m{n}]\npath = {text}\ndtype = {key}",
                f"[models.m{n}]\npath = 'x'\ndate = {text}\nsystem = {key}",
                f"[models.{key}]\npath = {text}",
                f"[tasks.{key}]\ndataset = {text}",
                f"{task}average = {text}\nfewshot = {{ dataset = {key}, k = 1, template = 'x' }}",
                f"{task}extract = {{ regex = {text} }}\ntarget = {h.toml('{{ ' + self.text())}",
                f"[tasks.t{n}]\ndataset = {key}\ntype = {text}\nprompt = 'p'\nmetrics = [{text}]",
                f"[gates.g{n}]\nmetric = {text}\nbaseline = {key}\nmax_drop = 0.1",
                f"[gates.{key}]\nmetric = 't.acc'\nmin = 0.1\non_inconclusive = {text}",
                f"[tiers.{key}]\ncases = 3\nstop = {text}",
                f"[suites.s{n}]\nmodels = [{text}]\ntasks = [{key}]\ntier = {text}",
                f"[[triggers]]\npaths = [{text}]\ntier = {key}",
                f"[hooks.x{n}]\n{key} = {text}",
                f"[{key}]\n{text} = 1",
                f"[paths]\n{key} = {text}" if n == 0 else f"[paths.{key}]",
            ]
        )

    def arguments(self, count: int) -> None:
        """Hostile arguments in every place, raw bytes of no encoding among them."""
        self.write(f'evalc = 1\n[models.m]\npath = "{self.model}"\n[datasets.d]\npath = "d.jsonl"\n'
                   '[tasks.t]\ndataset = "d"\ntype = "perplexity"\nprompt = "{{ q }}"\n'
                   'metrics = ["word_perplexity"]\n')  # fmt: skip
        self.rows("d.jsonl", [{"q": "a b"}])
        for _ in range(count):
            arguments = self._argued(self.text(surrogates=self.rng.random() < 0.5))
            arguments = [_passed(one) for one in arguments]
            how = self.rng.choice(("pipe", "workflow", "ascii", "tty"))
            ran = self.run(
                *arguments,
                more=GITHUB if how == "workflow" else {},
                encoding="ascii" if how == "ascii" else "utf-8",
                tty=how == "tty",
            )
            github = how == "workflow" or "github" in arguments
            self.seen(how, ran, *arguments, github=github)
            self.files("arguments")

    def _argued(self, text: str) -> list[str]:
        command = self.rng.choice(("check", "plan", "report", "exec", "doctor", "lock"))
        file = text.replace("/", "_")[:60]
        return self.rng.choice(
            [
                [command, "specs", "--set", text],
                [command, "specs", "--set", f"tasks.t.description={text}", "--set", f"x.{text}=1"],
                [command, "specs", "--set", f'tasks.t.dataset="{text}"'],
                [command, "specs", "--set", f"tasks.{text}.prompt=1"],
                [
                    "check",
                    "specs",
                    "--set",
                    text,
                    "--format",
                    self.rng.choice(["json", "github", "line"]),
                ],
                ["plan", "specs", "--tier", text, "--suite", text],
                ["report", "specs", "--model", text],
                ["plan", "specs", "--task", text],
                ["plan", "specs", "--task", f"tag:{text}"],
                ["plan", "specs", "--since", text],
                [command, text],
                [command, f"specs/{text}"],
                [command, f"--{text}"],
                [text],
                ["cache", text],
                ["cache", "gc", "--model", text],
                ["cache", "gc", "--keep-bytes", text],
                ["cache", "import", text],
                ["cache", "merge", text],
                ["cache", "export", f"no/{file}"],
                ["cache", "audit", "specs", "--sample", text],
                ["diff", text, "m", "specs"],
                ["diff", f"specs/{file}.json", "x.json"],
                ["explain", text, "specs"],
                ["exec", "specs", "--record", text, "--no-report"],
                ["exec", "specs", "--junit", f"no/{file}"],
                ["report", "specs", "--html", f"no/{file}", "--junit", "junit.xml"],
                ["plan", "specs", "--out", f"no/{file}"],
                ["plan", "--show", file],
                ["check", "specs", "--format", text],
                ["report", "specs", "--cases", text],
                ["init", f"no/{file}/x", "--model", text],
                ["lock", "specs", "--upgrade", text],
                ["plan", "specs", "--cache", f"/dev/null/{file}"],
                ["plan", "specs", "--cache", f"c{file}"],
            ]
        )

    def wrong_data(self, count: int) -> None:
        """Rows and files that are wrong, each with a task of its own; hostile file names."""
        tables, files = ["evalc = 1"], {}
        for n in range(count):
            file = self.name(self.rng.choice((".jsonl", ".csv", ".tsv", ".json", f".{n}")))
            files[file] = self._data()
            tables += [
                f"[datasets.d{n}]",
                f"path = {h.toml(file)}",
                *([] if self.rng.random() < 0.7 else ['id = "{{ q }}"']),
                f'[tasks.t{n}]\ndataset = "d{n}"\ntype = "multiple_choice"\nprompt = "{{{{ q }}}}"',
                'choices = "{{ c }}"\ntarget = "{{ a }}"\nmetrics = ["acc"]',
            ]
        self.write("\n".join(tables) + f'\n[models.m]\npath = "{self.model}"\n', self.name(".toml"))
        for file, content in files.items():
            (self.specs / file).write_bytes(content)
        for form in ("terminal", "line", "json", "github"):
            ran = self.run("check", "specs", "--format", form)
            self.seen("pipe", ran, "check", form, github=form == "github")
        self.every_stream("plan", "specs")
        self.seen("pipe", self.run("exec", "specs", "--junit", "junit.xml"), "exec")
        self.files("exec")

    def _data(self) -> bytes:
        one, two = self.text(), self.text()
        row = {"q": one, "c": [two, "b"], "a": 0}
        return self.rng.choice(
            [
                json.dumps({**row, "a": two}),
                json.dumps({**row, "c": two}),
                json.dumps({**row, "c": {two: one}}),
                json.dumps({one: two}),
                json.dumps({**row, "q": "\ud800" + one}),
                json.dumps(row) + "\n" + json.dumps(row),
                one + "\n" + two,
                f"q,c,a\n{one},{two}\n",
                f"{one}\t{two}\nx",
                '{"q": "' + one,
                "[" + json.dumps(row) + "," + two,
            ]
        ).encode("utf-8", "surrogatepass")

    def hooks(self) -> None:
        """Functions that print, raise and return hostile text, and one that ends in it."""
        for body in ("raise ValueError({0!r})", "print({0!r}); raise Odd({1!r})", "return {0!r}",
                     "import os; os.write(2, {0!r}.encode('utf-8', 'replace')); os._exit(9)",
                     "print({0!r}); return 1.0"):  # fmt: skip
            made = body.format(self.text(surrogates=True), self.text(surrogates=True))
            head = f"class Odd(Exception):\n    def __repr__(self): return {self.text()!r}\n"
            kind = self.rng.choice(("metric", "extract", "prepare"))
            argument = {"metric": "case", "extract": "text", "prepare": "rows"}[kind]
            match = 'metrics = ["exact_match"]'
            own = {"metric": ('metrics = ["exact_match", "judge:hook"]', "", ""),
                   "extract": (match, 'extract = { python = "judge:hook" }', ""),
                   "prepare": (match, "", 'prepare = "judge:hook"')}[kind]  # fmt: skip
            self.write(f'evalc = 1\n[models.m]\npath = "{self.model}"\n[datasets.d]\n'
                       f'path = "d.jsonl"\n{own[2]}\n[tasks.t]\ndataset = "d"\ntype = "generate"\n'
                       f'prompt = "{{{{ q }}}}"\ntarget = "{{{{ t }}}}"\n{own[0]}\n{own[1]}\n'
                       "generate = { max_new_tokens = 2 }\n")  # fmt: skip
            (self.specs / "judge.py").write_text(f"{head}def hook({argument}):\n    {made}\n",
                                                 encoding="utf-8", errors="replace")  # fmt: skip
            self.rows(
                "d.jsonl", [{"q": f"q{n}", "t": self.text(), "id": self.text()} for n in range(3)]
            )
            self.every_stream("exec", "specs", "--junit", "junit.xml")
            self.files("hooks")
            if kind == "prepare":
                self.every_stream("check", "specs", "--allow-code")

    def models(self) -> None:
        """Models whose files hold hostile text, which libraries read, warn of and raise with."""
        folder = self.root / self.name()
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.model, folder)
        path = folder / self.rng.choice(("config.json", "tokenizer_config.json", "tokenizer.json"))
        content = json.loads(path.read_text(encoding="utf-8"))
        keys = self.rng.sample(sorted(content), min(2, len(content)))
        for key in (*keys, self.text()):
            content[key] = self.text()
        if path.name == "config.json":
            wrong = self.rng.choice(("hidden_act", "model_type", "torch_dtype", "rope_scaling",
                                     "pad_token_id", "architectures"))  # fmt: skip
            content[wrong] = {"rope_type": self.text()} if wrong == "rope_scaling" else self.text()
        path.write_text(json.dumps(content), encoding="utf-8")
        self.write(f"evalc = 1\n[models.m]\npath = {h.toml(str(folder))}\n[datasets.d]\n"
                   'path = "d.jsonl"\n[tasks.t]\ndataset = "d"\ntype = "perplexity"\n'
                   'prompt = "{{ q }}"\nmetrics = ["word_perplexity"]\n')  # fmt: skip
        self.rows("d.jsonl", [{"q": self.text()}])
        for arguments in (("plan", "specs"), ("exec", "specs"), ("doctor", "specs")):
            self.every_stream(*arguments)

    def reports(self, count: int) -> None:
        """Reports from elsewhere, every text of which is hostile, compared."""
        ran = self.run("report", "specs", "--json")
        if ran.code not in (0, 3, 4) or not ran.out.startswith("{"):
            return
        plain = json.loads(ran.out)
        for number in range(count):
            for name in ("a.json", "b.json"):
                (self.root / name).write_text(json.dumps(self._spoilt(plain, number % 4)))
            for form in ((), ("--markdown",), ("--json",), ("--html", "page.html")):
                ran = self.run("diff", "a.json", "b.json", *form)
                self.seen("pipe", ran, "diff", *form)
                if form == ("--markdown",):
                    self.look("markdown", "diff", h.markdown_faults(ran.out))
                self.files("diff")

    def _spoilt(self, value: Any, level: int, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: self._spoilt(v, level, k) for k, v in value.items()}
        if isinstance(value, list):
            return [self._spoilt(one, level, key) for one in value]
        free = ("answer", "target", "why", "metric", "text", "name", "id")
        wanted = key in free if level else isinstance(value, str) and key != "schema"
        if isinstance(value, str) and wanted and self.rng.random() < (0.3, 1.0, 0.2, 0.05)[level]:
            return self.text(surrogates=True)
        return value

    def pinned(self, count: int) -> None:
        """Pinned plans, sealed again, whose texts are hostile."""
        self.run("plan", "specs", "--out", "plan.evalc")
        path = self.root / "plan.evalc"
        if not path.is_file():
            return
        plain = json.loads(path.read_text(encoding="utf-8"))
        for number in range(count):
            content = self._pin(plain, 0.1 if number % 2 else 0.03)
            content["schema"], content["ask"]["cache"] = plain["schema"], str(self.cache)
            content.pop("digest")
            content["digest"] = digest(content)
            path.write_text(json.dumps(content), encoding="utf-8")
            for arguments in (
                ("plan", "--show", "plan.evalc"),
                ("exec", "plan.evalc", "--no-report"),
            ):
                how = self.rng.choice(("pipe", "ascii", "workflow"))
                ran = self.run(*arguments, encoding="ascii" if how == "ascii" else "utf-8",
                               more=GITHUB if how == "workflow" else {})  # fmt: skip
                self.seen(how, ran, *arguments, github=how == "workflow")
        path.unlink()

    def _pin(self, value: Any, share: float) -> Any:
        if isinstance(value, dict):
            return {k: self._pin(v, share) for k, v in value.items()}
        if isinstance(value, list):
            return [self._pin(one, share) for one in value]
        if isinstance(value, str) and self.rng.random() < share:
            return self.text(surrogates=True)
        return value


def _passed(argument: str) -> str:
    """What an argument can be: no NUL, and of the surrogates those that stand for bytes."""
    return argument.replace("\0", "").replace("\ud800", "\udc80").replace("\udfff", "\udcff")
