"""Where the parts of the page stand: its style sheet and the names that it knows them by.

A lens is changed while its answers are watched, so that picture and answers stand beside the sliders on a wide screen,
and before them on a phone, where sliders, examples and maps follow.
"""

ASKED, TOLD, PICTURED, EXPLAINED = "asked", "told", "pictured", "explained_part"
"""Parts of the tab of one image: what is asked, what is told, in it the picture, and below both the explanation."""

STYLE = f"""
<style>
#heading h1 {{ font-size: 1.5rem; font-weight: 600; margin: 0; line-height: 1.3; }}
#heading p {{ margin: 2px 0 0; }}
/* Gradio's own grey is too pale on white */
#models .block-info, #models [data-testid="block-info"] + div {{ color: var(--body-text-color); opacity: 0.8; }}
#models label {{ padding: 4px 10px; }}
/* of an answer that is computed anew, one that is fainter but can be read; quick answers do not flicker */
#answers .pending, #caption .pending, #note .pending, #legend .pending, #filled_legend .pending {{
    opacity: 0.45; transition: opacity 0.2s 0.25s;
}}
#heading, #heading > *, #caption, #caption > *, #note, #note > *, #answers, #answers > *, #legend, #legend > *,
#filled_legend, #filled_legend > * {{ padding: 0; }}
#legend {{ max-width: 640px; }}
#explanation {{ max-width: 400px; margin: 0; }}
@media (max-width: 720px) {{
    .app.app {{ padding: 8px; }}
    #{TOLD} {{ order: -1; }}
    /* of its parts the stretch goes below the answers */
    #{PICTURED} {{ display: contents; }}
    #{PICTURED} > .form {{ order: 1; }}
    #caption, #note {{ flex: 0 0 100%; }}
    #heading h1 {{ font-size: 1.15rem; }}
    #heading p {{ font-size: 0.8rem; line-height: 1.35; }}
    #models label {{ padding: 1px 6px; font-size: 0.8rem; }}
    #picture {{ flex: none; width: 230px; max-width: 230px; margin: 0 auto; }}
}}
</style>
"""
