<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="en_US" sourcelanguage="en_US">
<context>
    <name>AdoptDialog</name>
    <message numerus="yes">
        <source>Found %n model(s) of other programs ({size})</source>
        <translation>
            <numerusform>Found %n model of other programs ({size})</numerusform>
            <numerusform>Found %n models of other programs ({size})</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>LibraryController</name>
    <message numerus="yes">
        <source>%n file(s) are there more than once; {size} could be freed. Their details name the others.</source>
        <translation>
            <numerusform>%n file is there more than once; {size} could be freed. Its details name the others.</numerusform>
            <numerusform>%n files are there more than once; {size} could be freed. Their details name the others.</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>LibraryView</name>
    <message numerus="yes">
        <source>%n model(s), {size}</source>
        <translation>
            <numerusform>%n model, {size}</numerusform>
            <numerusform>%n models, {size}</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>TrashPage</name>
    <message numerus="yes">
        <source>%n day(s) left</source>
        <translation>
            <numerusform>%n day left</numerusform>
            <numerusform>%n days left</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>Delete %n chat(s) for ever?</source>
        <translation>
            <numerusform>Delete this chat for ever?</numerusform>
            <numerusform>Delete %n chats for ever?</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>Delete all %n chat(s) in the trash for ever?</source>
        <translation>
            <numerusform>Delete the chat in the trash for ever?</numerusform>
            <numerusform>Delete all %n chats in the trash for ever?</numerusform>
        </translation>
    </message>
</context>
</TS>
