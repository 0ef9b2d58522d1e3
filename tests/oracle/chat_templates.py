#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes what Jinja2 itself makes of the templates and expressions in ../vectors/chat_templates, set
up as transformers does it for chat templates: pip install jinja2 (last run with 3.1.6).

usage: chat_templates.py
"""
import json
import pathlib

import jinja2
import jinja2.ext
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

FOLDER = pathlib.Path(__file__).resolve().parent.parent / 'vectors' / 'chat_templates'


class Generation(jinja2.ext.Extension):
    """{% generation %}: notes which part of the text was written inside it."""
    tags = {'generation'}
    spans = []

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(['name:endgeneration'], drop_needle=True)
        return nodes.CallBlock(self.call_method('_note'), [], [], body).set_lineno(line)

    def _note(self, caller):
        text = caller()
        Generation.spans.append(text)
        return text


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                        extensions=[Generation, jinja2.ext.loopcontrols])
    # Jinja's own tojson would escape HTML and sort the keys.
    env.filters['tojson'] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)

    def raise_exception(message):
        raise jinja2.TemplateError(message)
    env.globals['raise_exception'] = raise_exception
    return env


def render(source, messages, tools=None, prompt=False, **more):
    Generation.spans = []
    try:
        return {'text': environment().from_string(source).render(
            messages=messages, tools=tools, documents=None, add_generation_prompt=prompt, **more)}
    except Exception as error:  # whatever Python raises, volt has to refuse
        return {'error': type(error).__name__}


def main():
    conversations = json.loads((FOLDER / 'conversations.json').read_text())
    golden = []
    for path in sorted(FOLDER.glob('*.jinja')):
        for name, given in conversations.items():
            for prompt in (False, True):
                made = render(path.read_text(), given['messages'], given.get('tools'), prompt,
                              bos_token='<s>', eos_token='</s>')
                if Generation.spans and 'text' in made:
                    made['generated'] = list(Generation.spans)
                golden.append({'template': path.stem, 'conversation': name, 'prompt': prompt, **made})
    (FOLDER / 'golden.json').write_text(json.dumps(golden, ensure_ascii=False, indent=1) + '\n')

    given = json.loads((FOLDER / 'expressions.json').read_text())
    for one in given['cases']:
        one.pop('text', None), one.pop('error', None)
        one.update(render(one['template'], given['messages']))
    (FOLDER / 'expressions.json').write_text(json.dumps(given, ensure_ascii=False, indent=1) + '\n')


main()
